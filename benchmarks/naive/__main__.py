"""`python -m benchmarks.naive`: one naive node."""

from typing import Annotated

import typer

from benchmarks.naive.app import create_app
from benchmarks.reference import serve


def main(
    redis_url: Annotated[str, typer.Option(help="Where the queue is.")],
    players: Annotated[int, typer.Option(help="Players of a match.")] = 2,
) -> None:
    """Serve on a free port, printed at the start, with the same uvicorn settings as match-server."""
    serve("naive", create_app(redis_url, players))


typer.run(main)
