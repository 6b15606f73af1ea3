"""Chooses the presence that the options ask for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dedicated_server_stub.presence.interface import Presence
from dedicated_server_stub.presence.memory import MemoryPresence
from dedicated_server_stub.presence.redis_presence import RedisPresence


@asynccontextmanager
async def open_presence(url: str | None, *, prefix: str) -> AsyncIterator[Presence]:
    """Open the presence at a URL of Redis; None: one in memory, for this process."""
    if url is None:
        yield MemoryPresence(clock=asyncio.get_running_loop().time)
        return
    async with RedisPresence.connect(url, prefix=prefix) as presence:
        yield presence
