"""A Redis of a test's own that can be frozen, killed and looked up by its process id."""

import asyncio
import contextlib
import os
import signal
from types import TracebackType
from typing import Self

from redis import Redis

from match_server.store.embedded import EmbeddedRedis


class RedisProcess:
    """One private server, thawed and stopped on leaving the block."""

    def __init__(self) -> None:
        self._server = EmbeddedRedis("embedded://")

    @property
    def url(self) -> str:
        return self._server.url

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        asyncio.run(self._server.__aenter__())
        with Redis.from_url(self.url) as client:
            self.pid = int(client.info()["process_id"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):  # killed by the test
            self.thaw()
        asyncio.run(self._server.__aexit__())
