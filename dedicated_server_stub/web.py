"""uvicorn, as part of a program that owns its event loop, its signals and its listening socket."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dedicated_server_stub.joined_writes import JoinedWrites

BACKLOG = 2048
MAX_FRAME_BYTES = 16 * 1024
# What the kernel keeps for a client that does not read. The usual megabytes would hide it for minutes.
SEND_BUFFER_BYTES = 64 * 1024
KEEPALIVE_SECONDS = 5.0  # between pings, and until the pong
CUT_SECONDS = 5.0  # after its last frame, a connection that is still there is cut


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; port 0 takes a free one.

    Calls made before uvicorn serves wait in the backlog, so the server may register at once.

    Raises:
        OSError: the address is unknown, not ours or in use.

    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class RoomProtocol(WebSocketsSansIOProtocol):
    """A WebSocket whose frames of a tick leave in one write, and which is cut soon after its last frame.

    uvicorn's own writes each frame by itself, and stays for ever when a client reads nothing.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Write through `JoinedWrites`."""
        joined = JoinedWrites(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.BaseTransport", joined))

    async def run_asgi(self) -> None:
        """Serve the connection, then cut it unless it ends by itself."""
        await super().run_asgi()
        self.loop.call_later(CUT_SECONDS, self.transport.abort)


def web_config(app: Starlette) -> uvicorn.Config:
    """Configure uvicorn without logs, headers and a lifespan of its own."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,  # longer than a caller's pool, so that no call meets the close
        timeout_graceful_shutdown=1,
        ws=RoomProtocol,
        ws_ping_interval=KEEPALIVE_SECONDS,
        ws_ping_timeout=KEEPALIVE_SECONDS,
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
    )


class WebServer(uvicorn.Server):
    """A uvicorn that leaves the signals to the program; stop it by `should_exit`."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none; uvicorn's own handlers raise the signal again at the end."""
        yield
