"""Which pool a call is for: the one that `?pool=` names, or the first."""

from collections.abc import Mapping

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from match_server.events.node import Events, HandshakeRefused
from match_server.web.problems import problem


class PoolSwitch:
    """Passes each call to the application of its pool. Every line that is logged for it names the pool."""

    def __init__(self, pools: Mapping[str, ASGIApp], events: Events) -> None:
        """`pools` are the applications by name, the first one first; the name of an only one may be empty."""
        self._pools = pools
        self._events = events
        self._first = next(iter(pools))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on; one for a pool that is not here is answered 404, a WebSocket's before its upgrade."""
        query = scope.get("query_string", b"")
        name = QueryParams(query).get("pool", self._first) if b"pool=" in query else self._first
        application = self._pools.get(name)
        if application is None:
            reason = f"no such pool; there is {', '.join(filter(None, self._pools)) or 'only one, unnamed'}"
            refusal = problem(404, reason)
            if scope["type"] == "websocket":
                peer = scope["client"][0] if scope["client"] else ""
                self._events.record(HandshakeRefused(404, reason, peer))
                await receive()  # websocket.connect
                await refusal.as_denial(send)
            else:
                await refusal(scope, receive, send)
            return
        with bound_contextvars(**({"pool": name} if name else {})):
            await application(scope, receive, send)
