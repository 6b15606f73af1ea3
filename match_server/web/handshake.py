"""The opening handshake of a WebSocket: its request as an ASGI scope, and ASGI's answers as HTTP responses."""

import asyncio
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.types import Message, Scope
from websockets.datastructures import Headers
from websockets.http11 import Request, Response


def websocket_scope(request: Request, transport: asyncio.Transport, *, root_path: str, state: dict[str, Any]) -> Scope:
    """The ASGI scope of a request that may become a WebSocket."""
    raw_path, _, query_string = request.path.partition("?")
    offered = request.headers.get_all("Sec-WebSocket-Protocol")
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if transport.get_extra_info("sslcontext") else "ws",
        "server": _host_and_port(transport.get_extra_info("sockname")),
        "client": _host_and_port(transport.get_extra_info("peername")),
        "root_path": root_path,
        "path": root_path + unquote(raw_path),
        "raw_path": (root_path + raw_path).encode(),
        "query_string": query_string.encode(),
        "headers": [(name.lower().encode(), value.encode("iso-8859-1")) for name, value in request.headers.raw_items()],
        "subprotocols": [name.strip() for header in offered for name in header.split(",")],
        "state": state,
        "extensions": {"websocket.http.response": {}},
    }


def _host_and_port(address: Any) -> tuple[str, int] | None:
    """The first two parts of an IPv4 or IPv6 address; None for a Unix socket's."""
    return (address[0], address[1]) if isinstance(address, tuple) else None


def accept(response: Response, message: Message) -> None:
    """Complete the response to a handshake by what `websocket.accept` says."""
    if subprotocol := message.get("subprotocol"):
        response.headers["Sec-WebSocket-Protocol"] = subprotocol
    _add_headers(response.headers, message)


class Denial:
    """An HTTP response of the application's instead of a WebSocket, from its start and its parts.

    Args:
        start: `websocket.http.response.start`.
    """

    def __init__(self, start: Message) -> None:
        self._status: int = start["status"]
        self._headers = Headers()
        self._body = bytearray()
        _add_headers(self._headers, start)

    def add(self, part: Message) -> Response | None:
        """Take a `websocket.http.response.body`. Returns the whole response with the last."""
        self._body += part.get("body", b"")
        if part.get("more_body", False):
            return None
        headers = self._headers
        headers.setdefault("Date", formatdate(usegmt=True))
        headers.setdefault("Connection", "close")
        headers.setdefault("Content-Length", str(len(self._body)))
        return Response(self._status, HTTPStatus(self._status).phrase, headers, bytes(self._body))


def _add_headers(headers: Headers, message: Message) -> None:
    for name, value in message.get("headers", ()):
        headers[name.decode("ascii")] = value.decode("iso-8859-1")
