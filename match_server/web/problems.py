"""Errors over HTTP: `application/problem+json` (RFC 9457)."""

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from match_server.errors import StoreUnavailable

log = structlog.get_logger(__name__)


class Problem(JSONResponse):
    """A problem document."""

    media_type = "application/problem+json"

    async def as_denial(self, send: Send) -> None:
        """Answer a WebSocket handshake with this instead of accepting it."""
        await send({"type": "websocket.http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "websocket.http.response.body", "body": self.body})


class Refused(Exception):
    """Ends a request with a problem."""

    def __init__(self, status: int, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.members = members


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> Problem:
    """Build a problem; `members` are further fields of it."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    return Problem(body, status_code=status, headers=headers)


async def no_such_path(scope: Scope, receive: Receive, send: Send) -> None:
    """What the router calls where no route fits: Starlette's own answers a WebSocket handshake with an empty 403."""
    answer = problem(404, "Not Found")
    if scope["type"] == "websocket":
        await answer.as_denial(send)
    else:
        await answer(scope, receive, send)


async def no_socket(_request: Request) -> Problem:
    """A plain GET where a WebSocket is served (RFC 9110, 15.5.22)."""
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    return problem(426, "a WebSocket is served here; connect with a WebSocket client", headers=headers)


async def on_refused(_request: Request, error: Exception) -> Problem:
    """Starlette's handler of `Refused`."""
    assert isinstance(error, Refused)  # noqa: S101 - registered for this type alone
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return problem(error.status, error.detail, headers=headers, **error.members)


async def on_http_exception(request: Request, error: Exception) -> Problem:
    """Starlette's handler of its own 405, whose Allow names the methods of one route alone; several share a path."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    of_path = [route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = sorted({method for methods in of_path for method in methods})
    return problem(error.status_code, error.detail, headers={**(error.headers or {}), "Allow": ", ".join(allowed)})


async def on_store_unavailable(_request: Request, _error: Exception) -> Problem:
    """Starlette's handler of `StoreUnavailable`."""
    return problem(503, "Redis cannot serve this now; try again", headers={"Retry-After": "1"})


async def on_bug(request: Request, error: Exception) -> Problem:
    """Starlette's handler of everything else."""
    error_id = uuid.uuid4().hex
    log.error("request_failed", error_id=error_id, method=request.method, path=request.url.path, exc_info=error)
    return problem(500, "a bug of ours; it is logged under error_id", error_id=error_id)


# What each exception of a request is answered with.
ERROR_HANDLERS: Mapping[Any, Any] = {
    Refused: on_refused,
    HTTPException: on_http_exception,
    StoreUnavailable: on_store_unavailable,
    Exception: on_bug,
}
