"""A simulated WebSocket: between a player and the real gateway of a node, message by message."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from match_server.errors import CloseCode
from match_server.web.websocket_protocol import SCOPE_KEY
from tests.simulation.lines import Line

if TYPE_CHECKING:
    from collections.abc import Callable

ABNORMAL = 1006


class Client(Protocol):
    """Whoever holds the other end."""

    def on_frame(self, connection: "Connection", data: bytes) -> None:
        """A frame of the service arrived."""

    def on_closed(self, connection: "Connection", code: int) -> None:
        """The connection is gone."""


class Connection:
    """One connection; what `PlayerConnection` is to the gateway, and a socket to the client.

    Args:
        number: which one of its player's it is.
    """

    def __init__(self, client: Client, *, number: int, chance: Random) -> None:
        self.number = number
        self.peer_closed = False
        self.open = True  # as the node sees it
        self.usable = True  # as the client sees it
        self.close_code = 0  # told to the client
        self._client = client
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._events.put_nowait({"type": "websocket.connect"})
        self._up: Line[Callable[[], None]] = Line(lambda act: act(), chance)
        self._down: Line[Callable[[], None]] = Line(lambda act: act(), chance)

    # --- the client's end ---

    def send(self, text: str, on_heard: "Callable[[], None] | None" = None) -> None:
        """Send a text frame; `on_heard` is called when the node receives it, if it does."""

        def arrive() -> None:
            if self.open and on_heard:
                on_heard()
            self._hear({"type": "websocket.receive", "text": text})

        self._up.put(arrive)

    def leave(self) -> None:
        """Begin the closing handshake."""
        self.usable = False
        self._up.put(lambda: self._peer_gone(CloseCode.NORMAL, closed=True))

    def drop(self, noticed_after_seconds: float) -> None:
        """Break the link; the node notices after a while, and until then sends into the void."""
        self.usable = False
        self._down.cut()
        self._up.put(lambda: self._peer_gone(ABNORMAL, closed=False), noticed_after_seconds)

    # --- the node's end, as PlayerConnection ---

    def send_frame(self, text: bytes) -> None:
        """See `PlayerConnection.send_frame`."""
        if self.open:
            self._down.put(lambda: self._client.on_frame(self, text))

    def close(self, code: int, reason: str = "") -> None:
        """See `PlayerConnection.close`."""
        if self.open:
            self.open = False
            self._events.put_nowait({"type": "websocket.disconnect", "code": int(code)})
            self._down.put(lambda: self._closed(code))

    def node_died(self) -> None:
        """The process at the other end is gone."""
        self.open = False
        self._up.cut()
        self._down.put(lambda: self._closed(ABNORMAL))

    # --- the gateway's ASGI ---

    def scope(self) -> dict[str, Any]:
        """The ASGI scope of this connection."""
        return {
            "type": "websocket",
            "headers": [],
            "client": ("203.0.113.1", 5000),
            "query_string": b"",
            "extensions": {SCOPE_KEY: self, "websocket.http.response": {}},
        }

    async def receive(self) -> dict[str, Any]:
        """The next event for the gateway."""
        return await self._events.get()

    async def accept(self, event: Any) -> None:
        """What the gateway sends besides frames: its acceptance, or its refusal."""
        if event["type"] == "websocket.http.response.start":
            self.node_died()

    def _hear(self, event: dict[str, Any]) -> None:
        if self.open:
            self._events.put_nowait(event)

    def _peer_gone(self, code: int, *, closed: bool) -> None:
        if self.open:
            self.open = False
            self.peer_closed = closed
            self._events.put_nowait({"type": "websocket.disconnect", "code": int(code)})

    def _closed(self, code: int) -> None:
        self.close_code = int(code)
        if self.usable:
            self.usable = False
            self._client.on_closed(self, int(code))
