"""uvicorn's WebSocket protocol, taught what a matchmaker has to know about its connections.

What it adds, each for a fact of uvicorn 0.5x's `websockets-sansio`:

- `peer_closed`: uvicorn reports 1005 for a browser's `ws.close()` and for a cut link alike, and 1012 for a close that
  the server began. Who began the close is recorded here, never guessed from the code (docs/races.md, 9).
- `send_frame` and `close` never wait. A peer that does not read is cut off once its buffer is over the limit.
- A peer that stopped reading is never freed by the ping timeout alone, since the transport's close waits for its
  buffer; it is aborted here. The same goes for a peer that floods pings and reads no pongs.
- A message goes to the gateway in the turn in which it was read: uvicorn's queue would wake a task for it, and pause
  the reading.
- Invalid UTF-8 closes with 1007, without a traceback in the log. The close of a broken connection reaches its peer.
"""

import asyncio
import math
import random
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from match_server.errors import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable

_OUTBOX_BYTES = 256 * 1024  # unread frames of one connection, before it counts as too slow
_PINGS_SPARED = 3  # in a row, for a peer that talks
_TOGETHER = 16  # frames in one write
_CLOSE_SECONDS = 5.0  # for the peer to answer a close
_LINGER_SECONDS = 2.0  # for the peer to read why it is closed, while it goes on sending
_PARTS = 256  # of one message
_HANDSHAKE_SECONDS = 10.0  # for a connection to send its first request whole

SCOPE_KEY = "match_server.connection"


class PlayerConnection(WebSocketsSansIOProtocol):
    """One WebSocket. The ASGI scope carries it under `extensions`, for the gateway."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = _CLOSE_SECONDS
        self.peer_closed = False  # the peer began the closing handshake
        self.receiver: Callable[[str | None], None] | None = None  # takes each message; None is a binary one
        self._broken = False  # the peer's frames cannot be read any more
        self._heard = 0.0  # when the peer last sent anything, by the loop's clock
        self._pings_spared = 0  # in a row
        self._abort_at = math.inf  # by the loop's clock

    def handle_connect(self, event: Request) -> None:
        """Offer this connection to the application."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[SCOPE_KEY] = self

    @property
    def _open(self) -> bool:
        return self.conn.state is State.OPEN and not self.close_sent and not self.transport.is_closing()

    def send_frame(self, text: bytes) -> None:
        """Send one text frame, or cut off a peer that has left too many unread.

        Frames of one turn of the loop go out in one write: most players are told `queued` and `start_loading` in one.
        """
        if not self._open:
            return
        if self.transport.get_write_buffer_size() > _OUTBOX_BYTES:
            self.close(CloseCode.TOO_SLOW)
            return
        self.conn.send_text(text)
        together = len(self.conn.writes)
        if together == 1:
            self.loop.call_soon(self._flush)
        elif together == _TOGETHER:
            self._flush()

    def _flush(self) -> None:
        if self.conn.writes and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))

    def close(self, code: int) -> None:
        """Begin the closing handshake; the application is told at once, the transport is freed soon."""
        if not self._open:
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        self.conn.send_close(code)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._abort_after(self.close_timeout)

    def _abort_after(self, seconds: float) -> None:
        """Free the transport by then, however much lies unread. uvicorn stops this timer with the connection."""
        self._abort_at = min(self._abort_at, self.loop.time() + seconds)
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_at(self._abort_at, self.transport.abort)

    def shutdown(self) -> None:
        """This node stops: tell the peer, and do not wait long for one that does not read.

        A handshake under way is refused by the gateway; uvicorn would answer it, too.
        """
        if self.handshake_complete:
            self.close(CloseCode.RESTARTING)
            self._abort_after(1.0)

    async def send(self, message: Any) -> None:
        """As uvicorn's; but a refused handshake is complete, and no bug to log."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True

    def handle_close(self, event: Frame) -> None:
        """Take note of who began."""
        if not self.close_sent:
            self.peer_closed = True
        super().handle_close(event)
        # It may have said its last without reading ours: the transport would wait for that for ever.
        self._abort_after(self.close_timeout)

    def handle_ping(self) -> None:
        """Answer, unless the answers to earlier pings lie there unread."""
        if self.transport.get_write_buffer_size() > _OUTBOX_BYTES:
            self.transport.abort()
            return
        super().handle_ping()

    def schedule_ping(self, silent_seconds: float = 0.0) -> None:
        """As uvicorn's, but spread: those who came in one rush would be pinged in one, over and over."""
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        delay = spread * cast("float", self.ping_interval) - silent_seconds
        self.ping_timer = self.loop.call_later(delay, self.send_keepalive_ping)

    def send_keepalive_ping(self) -> None:
        """As uvicorn's; but whoever was heard since is there, and is pinged after one interval of silence at most.

        Now and then it is pinged all the same: it may talk, and not read any more.
        """
        silent_seconds = self.loop.time() - self._heard
        if silent_seconds < 0.5 * cast("float", self.ping_interval) and self._pings_spared < _PINGS_SPARED:
            self._pings_spared += 1
            self.schedule_ping(silent_seconds)
        else:
            self._pings_spared = 0
            super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """The peer has vanished: free the transport now, unread data and all."""
        self.pong_timer = None
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; what comes after a broken frame is read and forgotten."""
        self._heard = self.loop.time()
        if not self._broken:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Close with the parser's code: 1002, 1007 or 1009.

        uvicorn closes the transport at once, and a socket closed with unread data is reset: the peer would lose the
        close frame, and report 1006. So this side stops sending, and reads on for a moment (RFC 9293, 3.6.1).
        """
        close = self.conn.close_sent
        code = close.code if close else CloseCode.PROTOCOL_ERROR
        self._broken = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.read_paused = False
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._abort_after(_LINGER_SECONDS)

    def handle_cont(self, event: Frame) -> None:
        """As uvicorn's; but a message of countless empty parts has no size that would be too large."""
        if len(self.frames) >= _PARTS:
            self.close(CloseCode.POLICY)
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a message to the receiver; what came before there was one waits in uvicorn's queue.

        Invalid UTF-8 is refused here: uvicorn would log a traceback for it.
        """
        text = None
        if self.curr_msg_data_type == "text":
            try:
                text = b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                if self._open:
                    self.conn.fail(CloseCode.INVALID_PAYLOAD)
                    self.handle_parser_exception()
                return
        if self.receiver is None:
            super().send_receive_event_to_app()
            return
        self.frames = []
        if not self.close_sent:
            self.receiver(text)


class HttpConnection(HttpToolsProtocol):
    """A connection before its upgrade. One that does not get its first request across in time is closed."""

    _handshake_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the deadline of the first request."""
        super().connection_made(transport)
        self._handshake_timer = self.loop.call_later(_HANDSHAKE_SECONDS, transport.abort)

    def on_message_begin(self) -> None:
        """Each request of a kept connection has a deadline of its own."""
        super().on_message_begin()
        if self._handshake_timer is None:
            self._handshake_timer = self.loop.call_later(_HANDSHAKE_SECONDS, self.transport.abort)

    def on_headers_complete(self) -> None:
        """The headers are there; a body is bounded by its reader."""
        self._stop_timer()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over. The parser, which holds this object, would leave both to the garbage collector."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as uvicorn's own, when a connection ends without an upgrade

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._handshake_timer:
            self._handshake_timer.cancel()
            self._handshake_timer = None
