"""HTTP connections that do not get a request across in time are closed.

uvicorn has no such limit. It lies around uvicorn's protocol: bytes that come while no request is served are a request
that begins, and the call of the application says that its headers are there. A body is bounded by its reader.
"""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_REQUEST_SECONDS = 10.0  # for a connection to send the headers of a request
_STATE_KEY = "match_server.deadline"


class _Deadline:
    """The time limit of one connection's next request."""

    __slots__ = ("_serving", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._serving = 0  # requests
        self._timer: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """Begin, unless it runs already or these bytes belong to a request that is being served."""
        if self._timer is None and not self._serving:
            self._timer = asyncio.get_running_loop().call_later(_REQUEST_SECONDS, self._transport.abort)

    def stop(self) -> None:
        """The request is there, or the connection serves no more of them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def served(self, change: int) -> None:
        """A request begins to be served (1), or has been (-1)."""
        self.stop()
        self._serving += change


class HttpConnection(asyncio.Protocol):
    """uvicorn's HTTP protocol with a deadline for each request, for uvicorn's `http=`; `meet_deadlines` belongs to it.

    The first deadline begins with the connection, that of each further request with its first byte.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._state = dict(app_state)  # uvicorn hands it on in the scope of each request
        self._http = HttpToolsProtocol(config, server_state, self._state, _loop)
        self._transport: asyncio.Transport
        self._deadline: _Deadline

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the deadline of the first request."""
        self._transport = transport
        self._deadline = self._state[_STATE_KEY] = _Deadline(transport)
        self._deadline.heard()
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Let uvicorn read them. It may hand the transport over to the WebSocket protocol."""
        self._deadline.heard()
        self._http.data_received(data)
        if self._transport.get_protocol() is not self:
            # uvicorn's protocol and its parser hold each other. Both would be left to the garbage collector.
            self.connection_lost(ConnectionAbortedError("upgraded"))

    def eof_received(self) -> None:
        """As uvicorn's."""
        self._http.eof_received()

    def pause_writing(self) -> None:
        """As uvicorn's."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """As uvicorn's."""
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._deadline.stop()
        self._http.connection_lost(exc)


def meet_deadlines(application: ASGIApp) -> ASGIApp:
    """The application on an HttpConnection, which hears from it when a request is there."""

    async def application_with_deadlines(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        deadline: _Deadline = scope["state"].pop(_STATE_KEY)
        deadline.served(1)
        try:
            await application(scope, receive, send)
        finally:
            deadline.served(-1)

    return application_with_deadlines
