"""uvicorn, as a node runs it: signals are the node's, and a stop shows from outside before the port is gone."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from match_server.config import Settings
from match_server.processes import BACKLOG
from match_server.web.request_deadline import HttpConnection, meet_deadlines
from match_server.web.websocket_protocol import PlayerConnection


class HttpServer(uvicorn.Server):
    """Serves the application until `should_exit` is set; connections then have `close_seconds` to close."""

    def __init__(self, application: ASGIApp, settings: Settings, *, close_seconds: float) -> None:
        config = uvicorn.Config(
            meet_deadlines(application),
            http=HttpConnection,
            ws=PlayerConnection,
            ws_max_size=settings.max_message_bytes,
            ws_ping_interval=settings.ping_interval_seconds,
            ws_ping_timeout=settings.ping_timeout_seconds,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # X-Forwarded-For is read by the gateway, from trusted proxies alone
            backlog=BACKLOG,
        )
        super().__init__(config)
        self._close_seconds = close_seconds

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would raise the signal again at the end, and not exit with 0."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the players' connections, and the listener after them: until then `/readyz` says that the node stops.

        Those who come meanwhile do not prolong it, nor does a kept HTTP connection: uvicorn closes the idle ones.
        """
        connections = self.server_state.connections
        players = {connection for connection in connections if isinstance(connection, PlayerConnection)}
        for connection in players:
            connection.shutdown()
        now = asyncio.get_running_loop().time
        close_by = now() + self._close_seconds
        while players & connections and now() < close_by:  # noqa: ASYNC110 - uvicorn sets no event
            await asyncio.sleep(0.02)
        left = max(0.0, close_by - now())
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment]  # a fraction does as well
        await super().shutdown(sockets)
