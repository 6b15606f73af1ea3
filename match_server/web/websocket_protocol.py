"""A player's WebSocket: uvicorn's transport below, websockets' protocol without I/O inside, the gateway above.

uvicorn takes this class as its `ws=`. A connection is opened and closed by ASGI. Between the two, frames go past it,
for a matchmaker needs what ASGI does not have (docs/decisions/0005-frames-past-asgi.md):

- `peer_closed` says who began the close. The close code alone does not (docs/races.md, 9).
- `send_frame` and `close` never wait. A peer that does not read is cut off once its buffer is over the limit.
- A message reaches its receiver in the turn of the loop in which it was read.
- Every connection ends within seconds of its close, whatever lies unread: the transport's own close would wait for it.
"""

import asyncio
import math
from typing import TYPE_CHECKING, Any, cast

import structlog
from starlette.types import Message
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from match_server.errors import CloseCode
from match_server.web import handshake
from match_server.web.asgi_events import AsgiEvents
from match_server.web.keepalive import Keepalive
from match_server.web.message_parts import MessageParts, TooManyParts

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

SCOPE_KEY = "match_server.connection"
_OUTBOX_BYTES = 256 * 1024  # unread frames of one connection, before it counts as too slow
_TOGETHER = 16  # frames in one write
_CLOSE_SECONDS = 5.0  # for the peer to answer a close
_STOP_SECONDS = 1.0  # the same, while the node stops
_LINGER_SECONDS = 2.0  # for the peer to read why it is closed, while it goes on sending
_NO_STATUS, _ABNORMAL = 1005, 1006  # how ASGI is told of a link that is lost without a close: after accept, before it


class ClientGone(OSError):
    """The application answers on a connection that has ended."""


class PlayerConnection(asyncio.Protocol):
    """One WebSocket. The ASGI scope carries it under `extensions`, for the gateway."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.peer_closed = False  # the peer began the closing handshake
        self.receiver: Callable[[str | None], None] | None = None  # takes each message; None is a binary one
        self.message_parts = MessageParts()
        self._config = config
        self._state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        # uvicorn's stop waits for both.
        self._connections = cast("set[asyncio.Protocol]", server_state.connections)
        self._tasks = server_state.tasks
        self._transport: asyncio.Transport
        self._protocol = ServerProtocol(max_size=config.ws_max_size)
        self._response: Response | None = None  # to the handshake, until the application has answered it
        self._denial: handshake.Denial | None = None
        self._events = AsgiEvents(self._loop)
        self._keepalive: Keepalive | None = None
        self._together = 0  # frames that wait for the end of this turn
        self._lost = False  # the transport
        self._abort_at = math.inf  # by the loop's clock
        self._abort_timer: asyncio.TimerHandle | None = None

    # --- what uvicorn and the event loop call ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport. What it reads first is the request of the handshake."""
        self._transport = self._events.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Read what the peer sent. What comes after a broken frame is forgotten."""
        protocol = self._protocol
        if protocol.state is State.CLOSED:
            return
        if self._keepalive is not None:
            self._keepalive.heard = self._loop.time()
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)
            else:
                self._begin(cast("Request", event))
        if protocol.close_expected() and not self._events.ended:
            self._fail()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the application, unless it knows why."""
        self._lost = True
        self._connections.discard(self)
        self._end(_NO_STATUS if self._response is None else _ABNORMAL)
        if self._abort_timer is not None:
            self._abort_timer.cancel()
            self._abort_timer = None

    def shutdown(self) -> None:
        """Tell the peer that this node stops, and do not wait long for one that does not read.

        A handshake under way is left to the gateway, which refuses it.
        """
        self.close(CloseCode.RESTARTING)
        if self._events.ended:
            self._abort_after(_STOP_SECONDS)

    # --- what the gateway calls ---

    def send_frame(self, text: bytes) -> None:
        """Send one text frame, or cut off a peer that has left too many unread.

        Frames of one turn of the loop go out in one write: most players are told `queued` and `start_loading` in one.
        """
        if not self._open:
            return
        if self._transport.get_write_buffer_size() > _OUTBOX_BYTES:
            self.close(CloseCode.TOO_SLOW)
            return
        self._protocol.send_text(text)
        self._together += 1
        if self._together == 1:
            self._loop.call_soon(self._flush)
        elif self._together == _TOGETHER:
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake; the application is told at once, the transport is freed soon."""
        if self._open:
            self._protocol.send_close(code, reason)
            self._flush()
            self._end(code, reason)
            self._abort_after(_CLOSE_SECONDS)

    # --- what the keepalive calls ---

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        if self._open:
            self._protocol.send_ping(payload)
            self._flush()

    def vanished(self) -> None:
        """Free the transport now, unread data and all."""
        self._transport.abort()

    # --- the application, by ASGI ---

    async def _run(self, request: Request) -> None:
        scope = handshake.websocket_scope(
            request, self._transport, root_path=self._config.root_path, state=self._state.copy()
        )
        scope["extensions"][SCOPE_KEY] = self
        code = CloseCode.NORMAL
        try:
            await self._config.loaded_app(scope, self._events.receive, self._send)
        except ClientGone:
            log.debug("client_gone_during_handshake")
        except Exception:
            log.exception("connection_failed")
            code = CloseCode.INTERNAL
        finally:
            if self._response is not None:  # neither accepted nor denied
                self._answer(self._protocol.reject(500, "Internal Server Error"))
            self.close(code)

    async def _send(self, message: Message) -> None:
        if self._lost or self._events.ended:
            raise ClientGone
        kind = message["type"]
        if self._denial is not None and kind == "websocket.http.response.body":
            if response := self._denial.add(message):
                self._answer(response)
        elif self._response is not None and kind == "websocket.accept":
            handshake.accept(self._response, message)
            self._answer(self._response)
        elif self._response is not None and kind == "websocket.http.response.start":
            self._denial = handshake.Denial(message)
        elif self._response is not None and kind == "websocket.close":
            self._answer(self._protocol.reject(403, ""))
        elif kind == "websocket.close":
            self.close(message.get("code", CloseCode.NORMAL), message.get("reason") or "")
        elif kind == "websocket.send" and (text := message.get("text")) is not None:
            self.send_frame(text.encode())
        elif kind == "websocket.send":
            self._protocol.send_binary(message["bytes"])
            self._flush()
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")

    # --- the handshake ---

    def _begin(self, request: Request) -> None:
        """Offer the request to the application, unless it is no handshake of a WebSocket."""
        self._response = self._protocol.accept(request)
        if self._response.status_code != 101:
            self._answer(self._response)
            return
        self._events.connected()
        task = self._loop.create_task(self._run(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _answer(self, response: Response) -> None:
        """Open the WebSocket, or end the connection with another response."""
        self._response = self._denial = None
        if self._transport.is_closing():
            return
        self._protocol.send_response(response)
        self._flush()
        interval_seconds, timeout_seconds = self._config.ws_ping_interval, self._config.ws_ping_timeout
        if response.status_code != 101:
            self._end(_ABNORMAL)
            self._transport.close()
            self._abort_after(_CLOSE_SECONDS)
        elif interval_seconds and timeout_seconds:
            self._keepalive = Keepalive(
                self, self._loop, interval_seconds=interval_seconds, timeout_seconds=timeout_seconds
            )

    # --- frames from the peer ---

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.PING:
                self._answer_ping()
            case Opcode.PONG:
                if self._keepalive is not None:
                    self._keepalive.pong(bytes(frame.data))
            case Opcode.CLOSE:
                self._take_close(Close.parse(frame.data))
            case _ if not self._events.ended:
                self._take_part(frame)

    def _take_part(self, frame: Frame) -> None:
        """Hand a whole message to the receiver. Until there is one, it waits for the application."""
        try:
            message = self.message_parts.add(frame)
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_PAYLOAD)
        except TooManyParts:
            self.close(CloseCode.POLICY)
        else:
            if message is None:
                return
            if self.receiver is None:
                self._events.message(message)
            else:
                self.receiver(message if isinstance(message, str) else None)

    def _answer_ping(self) -> None:
        """Send the pong that lies there, unless too many earlier ones are unread."""
        if self._transport.get_write_buffer_size() > _OUTBOX_BYTES:
            self._transport.abort()
        else:
            self._flush()

    def _take_close(self, close: Close) -> None:
        """The peer closes, or answers our close. Either way this side has nothing more to say."""
        self.peer_closed = not self._events.ended
        self._flush()
        self._end(close.code, close.reason)
        self._transport.close()
        self._abort_after(_CLOSE_SECONDS)  # for the peer may have said its last without reading ours

    def _fail(self) -> None:
        """The peer broke the protocol: close with 1002, 1007 or 1009, whichever it is.

        A socket closed with unread data is reset, and its peer would report 1006 instead of that code. So this side
        stops sending, and reads on for a moment (RFC 9293, 3.6.1).
        """
        output = b"".join(self._protocol.data_to_send())
        self._protocol.receive_eof()  # nothing more is to be read; only now does it say how it was closed
        closed = self._protocol.close_exc
        if closed.sent and closed.rcvd:
            # A close between the parts of a message: websockets calls it a violation, RFC 6455 (5.4) allows it.
            self._transport.write(output.removesuffix(_frame(closed.sent)) + _frame(closed.rcvd))
            self._take_close(closed.rcvd)
            return
        self._transport.write(output)
        self._end(closed.sent.code if closed.sent else _ABNORMAL)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._abort_after(_LINGER_SECONDS)

    # --- both ways, and the end ---

    @property
    def _open(self) -> bool:
        return self._protocol.state is State.OPEN and not self._transport.is_closing()

    def _flush(self) -> None:
        self._together = 0
        if (output := b"".join(self._protocol.data_to_send())) and not self._transport.is_closing():
            self._transport.write(output)

    def _end(self, code: int, reason: str = "") -> None:
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        self._events.end(code, reason)

    def _abort_after(self, seconds: float) -> None:
        """Free the transport by then, however much lies unread."""
        if self._lost:
            return
        self._abort_at = min(self._abort_at, self._loop.time() + seconds)
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._abort_timer = self._loop.call_at(self._abort_at, self._transport.abort)


def _frame(close: Close) -> bytes:
    data = b"" if close.code == _NO_STATUS else close.serialize()
    return Frame(Opcode.CLOSE, data).serialize(mask=False)
