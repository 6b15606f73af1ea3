"""What anybody may read: the public keys of the pool, and the description of the HTTP calls."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.signing import SigningKeys
from match_server.web.openapi import document


class WellKnownEndpoints:
    """None of them needs a key: nothing in them is secret."""

    def __init__(self, *, keys: Sequence[SigningKeys]) -> None:
        """`keys` are those of each pool."""
        self._keys = keys

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/.well-known/jwks.json", self.jwks, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
        ]

    async def jwks(self, _request: Request) -> Response:
        """`GET /.well-known/jwks.json`: of each pool the key that signs now first. Empty until Redis is there."""
        published = [key for keys in self._keys for key in keys.public()["keys"]]
        return JSONResponse({"keys": published}, headers={"Cache-Control": "max-age=300"})

    async def openapi(self, _request: Request) -> Response:
        """`GET /openapi.json`: what stands in this file's neighbours, for machines."""
        return JSONResponse(_document())


@cache
def _document() -> dict[str, Any]:
    return document()
