"""`python -m tests.foreign.echo`: echoes every message by ASGI, on the WebSocket protocol of players.

For Autobahn's test suite, which sends what no player may send: messages of many parts, and of 64 KiB.
"""

import asyncio
import socket
from unittest import mock

import uvicorn
from starlette.types import Receive, Scope, Send

from match_server.web.websocket_protocol import PlayerConnection


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - read by the test that started it
    config = uvicorn.Config(echo, ws=PlayerConnection, lifespan="off", log_level="warning")
    with mock.patch("match_server.web.message_parts._PARTS", 100_000):
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
