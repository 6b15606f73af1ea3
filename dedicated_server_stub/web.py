"""uvicorn, as part of a program that owns its event loop, its signals and its listening socket."""

import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

BACKLOG = 2048
MAX_FRAME_BYTES = 16 * 1024


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
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


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
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
    )


class WebServer(uvicorn.Server):
    """A uvicorn that leaves the signals to the program; stop it by `should_exit`."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none; uvicorn's own handlers raise the signal again at the end."""
        yield
