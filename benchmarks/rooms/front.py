"""`python -m benchmarks.rooms.front KEY`: as much of a match server as a dedicated server needs to run rooms.

It takes every registration and publishes the public half of a signing key, so that who has the key lets players in.
"""

import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.reference import serve
from dedicated_server_stub.join_tokens import JWKS_PATH
from match_server.signing import SigningKeys

_HEARTBEAT_SECONDS = 3600  # none while something is measured


def front(keys: SigningKeys) -> Starlette:
    """Make the application."""

    async def register(_request: Request) -> Response:
        return JSONResponse({"heartbeat_seconds": _HEARTBEAT_SECONDS}, status_code=201)

    async def publish(_request: Request) -> Response:
        return JSONResponse(keys.public())

    async def goodbye(_request: Request) -> Response:
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/servers", register, methods=["POST"]),
            Route("/servers/{server_id}", goodbye, methods=["DELETE"]),
            Route(JWKS_PATH, publish),
        ]
    )


if __name__ == "__main__":
    signing = SigningKeys()
    signing.learn([sys.argv[1]])
    serve("front", front(signing), lifespan="off")
