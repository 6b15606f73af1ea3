"""Presence within one process: the default, and what a parent lends its workers."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from dedicated_server_stub.presence.interface import Handler, Write


class MemoryPresence:
    """Keeps everything in dictionaries.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._handlers: dict[str, Handler] = {}
        self._values: dict[str, tuple[str, float]] = {}  # with the time at which each is forgotten
        self._hashes: defaultdict[str, dict[str, str]] = defaultdict(dict)

    async def run(self) -> None:
        """Nothing to do: `publish` delivers."""

    def subscribe(self, channel: str, handler: Handler) -> None:
        """Take the handler of a channel; there is one."""
        self._handlers[channel] = handler

    def unsubscribe(self, channel: str) -> None:
        """Forget the handler of a channel."""
        self._handlers.pop(channel, None)

    async def publish(self, channel: str, message: str) -> None:
        """Deliver with the next turn of the loop, as a network would: never inside the caller."""
        handler = self._handlers.get(channel)
        if handler is not None:
            asyncio.get_running_loop().call_soon(handler, message)

    async def set(self, key: str, value: str, *, seconds: float) -> None:
        """Write a key, and forget all whose time is over."""
        now = self._clock()
        self._values = {name: kept for name, kept in self._values.items() if kept[1] > now}
        self._values[key] = value, now + seconds

    async def get(self, key: str) -> str | None:
        """Read a key."""
        value, forgotten_at = self._values.get(key, (None, 0.0))
        return value if self._clock() < forgotten_at else None

    async def hash_set(self, key: str, field: str, value: str) -> None:
        """Write a field of a hash."""
        self._hashes[key][field] = value

    async def hash_get_all(self, key: str) -> dict[str, str]:
        """Read a hash."""
        return dict(self._hashes[key])

    async def hash_delete(self, key: str, field: str) -> None:
        """Delete a field of a hash."""
        self._hashes[key].pop(field, None)

    async def hold(self, lease: str, owner: str, *, seconds: float, write: Write | None = None) -> bool:
        """Take or renew a lease; no other task runs in between."""
        if await self.get(lease) not in {None, owner}:
            return False
        await self.set(lease, owner, seconds=seconds)
        if write is not None:
            await self.set(write.key, write.value, seconds=write.seconds)
        return True
