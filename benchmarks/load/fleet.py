"""Many dedicated servers in one process: it registers them all, and answers the match server's calls for any of them.

Every session is created at once and runs until the process ends; nothing is played.
"""

import argparse
import asyncio
import json
from collections.abc import Callable
from typing import cast

import httptools
import httpx

from benchmarks.load.command_loop import Answer, run_process, serve_commands

_AT_A_TIME = 16
_TIMEOUT_SECONDS = 30.0


class Fleet:
    """The servers, by the ids `fleet-0`, `fleet-1` and so on."""

    def __init__(self, match_server: str) -> None:
        self._match_server = match_server
        self._count = 0

    async def run(self) -> None:
        """Listen, and take commands until stdin ends."""
        server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        limits = httpx.Limits(max_connections=_AT_A_TIME)
        async with httpx.AsyncClient(
            base_url=self._match_server, timeout=_TIMEOUT_SECONDS, limits=limits
        ) as self._http:
            await serve_commands({"register": self.register, "beat": self.beat})

    async def register(self, count: int, capacity: int) -> Answer:
        """Register so many servers, each with slots for `capacity` sessions."""
        self._count = count
        await self._for_each("POST", "/servers", lambda index: self._registration(index, capacity))
        return {}

    async def beat(self) -> Answer:
        """Send one heartbeat of each server."""
        await self._for_each("PUT", "/servers/fleet-{}/heartbeat", lambda _: {})
        return {}

    async def _for_each(self, method: str, path: str, body: Callable[[int], dict[str, object]]) -> None:
        indices = iter(range(self._count))

        async def work() -> None:
            for index in indices:
                answer = await self._http.request(method, path.format(index), json=body(index))
                answer.raise_for_status()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_A_TIME):
                tasks.create_task(work())

    def _registration(self, index: int, capacity: int) -> dict[str, object]:
        return {
            "server_id": f"fleet-{index}",
            "control_url": f"http://127.0.0.1:{self._port}/{index}",
            "address": f"127.0.0.1:{20_000 + index}",
            "capacity": capacity,
        }


class _Connection(asyncio.Protocol):
    """One connection of the match server: every request creates a session, with the id that it names."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer = json.dumps({"session_id": json.loads(self._body)["session_id"]}).encode()
        self._body = b""
        head = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
        self._transport.write(head + answer)
        if not self._parser.should_keep_alive():
            self._transport.close()


def main() -> None:
    """Run until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.fleet")
    parser.add_argument("--match-server", required=True)
    options = parser.parse_args()
    run_process(lambda: Fleet(options.match_server).run())


if __name__ == "__main__":
    main()
