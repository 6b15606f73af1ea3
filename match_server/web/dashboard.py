"""The dashboard for operators: its page, who looks at it, and what it hears live."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs

import structlog
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from match_server import __version__
from match_server.web.access import OperatorAccess
from match_server.web.answers import OperatorSession
from match_server.web.bodies import FORM, read_bytes
from match_server.web.live import LiveReadings
from match_server.web.operator_sessions import COOKIE, SESSION_SECONDS
from match_server.web.problems import Refused

log = structlog.get_logger(__name__)

_FOLDER = Path(__file__).parent / "page"
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {
    "/": "dashboard.html",
    "/dashboard.css": "dashboard.css",
    "/dashboard.js": "dashboard.js",
    **{
        f"/dashboard/{name}": name
        for name in ("icon.svg", "calls.js", "charts.js", "dom.js", "events.js", "lookup.js", "sections.js", "words.js")
    },
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PRIVATE = {**_HEADERS, "Cache-Control": "no-store"}
_FORM_BYTES = 4096


class Dashboard:
    """The calls of the dashboard's page that no program needs. What it changes, it changes by the operators' calls."""

    def __init__(self, *, access: OperatorAccess, live: LiveReadings, pool: str, pools: Sequence[str]) -> None:
        """`pools` are the names of those that the node has."""
        self._access = access
        self._live = live
        self._pool = pool
        self._pools = list(pools)

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            *(Route(path, self.file, methods=["GET"]) for path in FILES),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/dashboard/session", self.session, methods=["GET"]),
            Route("/dashboard/live", self.live, methods=["GET"]),
        ]

    async def file(self, request: Request) -> Response:
        """`GET /` and the parts of the page. Nothing in them is secret."""
        path = _FOLDER / FILES[request.url.path]
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers=_HEADERS)

    async def login(self, request: Request) -> Response:
        """`POST /login` with a form's `key`: opens a session, 204; 401 with another key."""
        self._access.check_page(request)
        found = self._access.key_of(await _key(request))
        if found is None:
            raise self._access.refused(request, 401, "that is no operator's key")
        log.info("operator_logged_in", by=found.label, peer=request.client.host if request.client else None)
        answer = Response(status_code=204, headers=_PRIVATE)
        answer.set_cookie(
            COOKIE,
            self._access.sessions.open(found.label),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=_over_tls(request),
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """`POST /logout`: the browser forgets its session, 204."""
        self._access.check_page(request)
        answer = Response(status_code=204, headers=_PRIVATE)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_over_tls(request))
        return answer

    async def session(self, request: Request) -> Response:
        """`GET /dashboard/session`: who looks, what it may do, and the token that each change has to bring."""
        operator = self._access.operator(request)
        document = OperatorSession(
            operator=operator.label,
            role=operator.role,
            csrf=operator.session.csrf if operator.session else "",
            can_log_out=operator.session is not None,
            pool=self._pool,
            pools=self._pools,
            version=__version__,
        )
        return JSONResponse(document, headers=_PRIVATE)

    async def live(self, request: Request) -> Response:
        """`GET /dashboard/live`: Server-Sent Events `points`, `reading` and `events`."""
        operator = self._access.operator(request)
        if self._live.full:
            raise Refused(503, "too many pages look on already")
        stream = self._live.follow(ends_at=operator.session.ends_at if operator.session else None)
        headers = {**_PRIVATE, "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _key(request: Request) -> str:
    """The key of the form.

    Raises:
        Refused: 415 no form, 422 without a key; see also `read_bytes`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(415, f"Content-Type: expected {FORM}")
    body = await read_bytes(request, most=_FORM_BYTES)
    keys = parse_qs(body.decode("utf-8", "replace")).get("key")
    if not keys:
        raise Refused(422, "key: expected in the form")
    return keys[0]


def _over_tls(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to whatever stands in front. Anybody may say so: it only adds care."""
    said = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return "https" in {request.scope["scheme"], said}
