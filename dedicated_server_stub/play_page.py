"""`GET /play`: a page on which a person plays in a browser. No build step, nothing loaded from elsewhere."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "page"
_HEADERS = {
    # A match may be found on another host, and played on a third: WebSockets go anywhere, and nothing else does.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src ws: wss:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILES = {
    "/play": ("index.html", "text/html"),
    "/play/style.css": ("style.css", "text/css"),
    "/play/play.js": ("play.js", "text/javascript"),
    "/play/client.js": ("client.js", "text/javascript"),
}


def page_routes() -> list[Route]:
    """The page and its parts."""
    return [Route(path, _serve, methods=["GET"]) for path in _FILES]


async def _serve(request: Request) -> Response:
    name, media_type = _FILES[request.url.path]
    return FileResponse(_FOLDER / name, media_type=media_type, headers=_HEADERS)
