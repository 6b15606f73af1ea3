"""How the servers that match-server is measured beside are served: with its own uvicorn settings."""

import socket
from typing import Literal

import uvicorn
from starlette.applications import Starlette


def serve(name: str, application: Starlette, *, lifespan: Literal["auto", "off"] = "auto") -> None:
    """Serve on a free port, printed at the start, until a signal ends it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        application,
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_ping_interval=5,
        ws_ping_timeout=5,
        ws_per_message_deflate=False,
        lifespan=lifespan,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    host, port = listener.getsockname()
    print(f"{name} ready on http://{host}:{port}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
