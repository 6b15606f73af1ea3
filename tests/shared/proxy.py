"""A Unix socket before Redis that does what networks do: it loses replies, and it swallows what it should pass on."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: "RedisProxy") -> None:
        self._proxy = proxy
        self.is_pubsub = False
        self.unanswered_scripts = 0

    async def up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the node to Redis."""
        while data := await reader.read(65536):
            self.is_pubsub = self.is_pubsub or b"\r\nSUBSCRIBE\r\n" in data  # the command, no text that names it
            self.unanswered_scripts += data.count(b"EVALSHA")
            if self._proxy.before_request:
                await self._proxy.before_request(data)
            writer.write(data)
            await writer.drain()

    async def down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From Redis to the node; returns when the link is to break."""
        while data := await reader.read(65536):
            if self.is_pubsub:
                if self._proxy.swallow_pubsub:
                    self._proxy.swallowed += 1
                    continue
            elif self.unanswered_scripts:
                self.unanswered_scripts = 0
                if self._proxy.lose_reply():
                    self._proxy.lost += 1
                    return
            writer.write(data)
            await writer.drain()


class RedisProxy:
    """What a node connects to instead of Redis.

    `lose_reply` is asked for each reply to scripts: True breaks the connection instead of passing the reply on.
    `swallow_pubsub` lets nothing through to the node on links that subscribed, and keeps them open.
    `before_request` is awaited with the bytes of each request, before they go on.
    """

    def __init__(self, redis_path: str) -> None:
        self.lose_reply: Callable[[], bool] = lambda: False
        self.swallow_pubsub = False
        self.before_request: Callable[[bytes], Awaitable[None]] | None = None
        self.lost = 0
        self.swallowed = 0
        self._redis_path = redis_path
        self._path = redis_path.removesuffix(".sock") + "-proxy.sock"
        self.url = f"unix://{self._path}"
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    def lose_next(self, replies: int) -> None:
        """Lose so many of the next replies to scripts."""
        left = iter(range(replies))
        self.lose_reply = lambda: next(left, None) is not None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server
        self._server.close()
        for task in self._links:
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await asyncio.sleep(0)  # the transports that were aborted close in the next turn of the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._links.add(task)
        try:
            redis_reader, redis_writer = await asyncio.open_unix_connection(self._redis_path)
        except OSError:
            writer.transport.abort()
            self._links.discard(task)
            return
        link = Link(self)
        ways = [
            asyncio.create_task(link.up(reader, redis_writer)),
            asyncio.create_task(link.down(redis_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if self._server and self._server.is_serving():
                raise
        finally:
            for way in ways:
                way.cancel()
            redis_writer.transport.abort()
            writer.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)
            self._links.discard(task)
