"""A Unix socket before Redis that loses replies on demand: the command has run, and nobody is told."""

import asyncio
from typing import Self


class LossyProxy:
    """`lose_replies` counts how many of the next replies to scripts are lost, each with its connection."""

    def __init__(self, redis_url: str, path: str) -> None:
        self.url = f"unix://{path}"
        self.lose_replies = 0
        self.lost = 0
        self._path = path
        self._redis_path = redis_url.removeprefix("unix://")
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        redis_reader, redis_writer = await asyncio.open_unix_connection(self._redis_path)
        try:
            async with asyncio.TaskGroup() as group:
                ran_a_script = asyncio.Event()
                up = group.create_task(self._requests(reader, redis_writer, ran_a_script))
                down = group.create_task(self._replies(redis_reader, writer, ran_a_script))
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
                up.cancel()
                down.cancel()
        except asyncio.CancelledError:
            if not self._server or self._server.is_serving():
                raise
        finally:
            self._links.discard(task)
            for each in (writer, redis_writer):
                each.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ran_a_script: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if b"EVALSHA" in data:
                ran_a_script.set()
            writer.write(data)
            await writer.drain()

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ran_a_script: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self.lose_replies > 0 and ran_a_script.is_set():
                self.lose_replies -= 1
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()
