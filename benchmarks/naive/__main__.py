"""`python -m benchmarks.naive`: one naive node."""

import socket
from typing import Annotated

import typer
import uvicorn

from benchmarks.naive.app import create_app


def serve(
    redis_url: Annotated[str, typer.Option(help="Where the queue is.")],
    players: Annotated[int, typer.Option(help="Players of a match.")] = 2,
) -> None:
    """Serve on a free port, printed at the start, with the same uvicorn settings as match-server."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        create_app(redis_url, players),
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_ping_interval=5,
        ws_ping_timeout=5,
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    host, port = listener.getsockname()
    print(f"naive ready on http://{host}:{port}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


typer.run(serve)
