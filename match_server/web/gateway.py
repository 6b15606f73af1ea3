"""The gateway of `/ws/`: socket <-> session. It reads all the time and never waits for business work.

An application that stops reading would stop uvicorn from seeing pongs, and healthy clients would be cut off
(docs/races.md, 14). So each message goes into the session's mailbox at once; what is too much is refused here.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from match_server import protocol
from match_server.actors.core import ActorSystem, Ref
from match_server.actors.desk import SessionContext
from match_server.actors.port import Closed, Inbound, Port, SessionMessage, new_connection_id
from match_server.actors.session import MAILBOX_LIMIT, STOPPING_GRACE_SECONDS, Session
from match_server.config import Settings
from match_server.errors import ActorStopped, CloseCode, ErrorCode, InvalidMessage, MailboxFull
from match_server.redis_clock import RedisClock
from match_server.web.access import PlayerTokens, client_address, origin_allowed
from match_server.web.limits import ConnectionLimit, TokenBucket
from match_server.web.problems import problem
from match_server.web.websocket_protocol import SCOPE_KEY, PlayerConnection

log = structlog.get_logger(__name__)

SESSIONS_PHASE = 0
_NO_STATUS_RECEIVED = 1005
# A client that begins the close with one of these leaves; with any other code it may come back.
_LEAVING = {CloseCode.NORMAL, CloseCode.GOING_AWAY, _NO_STATUS_RECEIVED}
# After these closes of ours the client has itself to blame, and keeps no place.
_BLAMED = {CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_PAYLOAD, CloseCode.POLICY, CloseCode.TOO_BIG}
_PONG = protocol.encode(protocol.Pong())
_FULL_SECONDS = 1.0
_BAD_MESSAGES = 40  # refused, over those accepted since, before the connection is closed with 1008


class _Socket:
    """The session's side of a connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: PlayerConnection) -> None:
        self._connection = connection

    def send(self, frame: str | bytes) -> None:
        self._connection.send_frame(frame.encode() if isinstance(frame, str) else frame)

    def close(self, code: CloseCode) -> None:
        self._connection.close(code)


class _Inbox:
    """The way in: what a client sends is counted, decoded, and left with its session.

    Each message says when it came: a claim may wait for long behind others, and then must not take its player from a
    newer connection (docs/races.md, 23).
    """

    __slots__ = ("_bucket", "_clock", "_refused", "_session", "_socket")

    def __init__(
        self, socket: _Socket, session: Ref[SessionMessage], *, bucket: TokenBucket, clock: RedisClock
    ) -> None:
        self._socket = socket
        self._session = session
        self._bucket = bucket
        self._clock = clock
        self._refused = 0  # messages, over those accepted since

    def take(self, text: str | None) -> None:
        """Take one message; None is a binary one."""
        if wait_seconds := self._bucket.take():
            self._refuse(wait_seconds, f"at most {self._bucket.rate:g} messages a second")
        elif not self._pass_on(text):
            self._refuse(_FULL_SECONDS, "too many messages of this connection wait to be carried out")
        else:
            self._refused = max(0, self._refused - 1)

    def _refuse(self, wait_seconds: float, reason: str) -> None:
        self._refused += 1
        if self._refused > _BAD_MESSAGES:
            self._socket.close(CloseCode.POLICY)
        self._socket.send(
            protocol.error_frame(ErrorCode.RATE_LIMITED, reason, retry_after_seconds=round(max(wait_seconds, 0.001), 3))
        )

    def _pass_on(self, text: str | None) -> bool:
        """Leave a message with the session; False when it has too many waiting."""
        if text is None:
            self._socket.send(
                protocol.error_frame(ErrorCode.INVALID_MESSAGE, "expected a text frame, not a binary one")
            )
            return True
        message: protocol.ClientMessage | InvalidMessage
        try:
            message = protocol.decode_client(text)
        except InvalidMessage as error:
            message = error
        if isinstance(message, protocol.Ping):  # answered here: a session may be waiting for Redis
            self._socket.send(_PONG)
            return True
        try:
            self._session.tell(Inbound(message, self._clock.received_us()))
        except MailboxFull:
            return False
        except ActorStopped:
            return True  # it crashed, and has closed the connection itself
        return True


class Gateway:
    """The ASGI application of the players' WebSocket."""

    def __init__(
        self,
        *,
        settings: Settings,
        system: ActorSystem,
        context: SessionContext,
        limit: ConnectionLimit,
        draining: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._system = system
        self._context = context
        self._limit = limit
        self._draining = draining
        self._clock = clock
        self._tokens = PlayerTokens(settings.player_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, from its handshake to its end."""
        headers = Headers(scope=scope)
        await receive()  # websocket.connect
        if refusal := self._refusal(headers):
            status, detail = refusal
            await problem(status, detail).as_denial(send)
            return
        peer = scope["client"][0] if scope["client"] else ""
        address = client_address(peer, headers, self._settings.trusted_proxies)
        if not self._limit.enter(address):
            await problem(503, "too many connections").as_denial(send)
            return
        try:
            await self._serve(scope, headers, receive, send)
        finally:
            self._limit.leave(address)

    def _refusal(self, headers: Headers) -> tuple[int, str] | None:
        if self._draining():
            return 503, "this node is stopping"
        if not origin_allowed(headers, self._settings.allowed_origins):
            return 403, "origin not allowed"
        return None

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        connection: PlayerConnection = scope["extensions"].pop(SCOPE_KEY)  # which holds the scope: no circle to collect
        socket = _Socket(connection)
        subject = None
        if self._tokens.required:
            subject = self._tokens.subject(headers, QueryParams(scope["query_string"]))
            if subject is None:
                socket.send(protocol.error_frame(ErrorCode.UNAUTHORIZED, "a valid player token is required"))
                socket.close(CloseCode.UNAUTHORIZED)
                return
        port = Port(new_connection_id(), socket)
        session = self._system.spawn(
            f"session/{port.connection}",
            lambda: Session(context=self._context, port=port, socket=socket, subject=subject),
            mailbox_limit=MAILBOX_LIMIT,
            phase=SESSIONS_PHASE,
        )
        port.attach(session)
        bucket = TokenBucket(self._settings.messages_per_second, self._clock)
        inbox = _Inbox(socket, session, bucket=bucket, clock=self._context.clock)
        connection.receiver = inbox.take
        try:
            code = await self._wait_until_closed(receive, inbox)
        finally:
            connection.receiver = None  # which holds the connection: no circle to collect
        await self._say_closed(session, self._closed(connection, code))

    @staticmethod
    async def _wait_until_closed(receive: Receive, inbox: _Inbox) -> int:
        """Wait for the connection's end. Returns the close code as uvicorn reports it."""
        while True:
            event: Any = await receive()
            if event["type"] == "websocket.disconnect":
                return int(event.get("code") or _NO_STATUS_RECEIVED)
            inbox.take(event.get("text"))  # it came before the inbox was there

    def _closed(self, connection: PlayerConnection, code: int) -> Closed:
        if connection.peer_closed:
            return Closed(left=code in _LEAVING, grace_seconds=self._settings.reconnect_grace_seconds)
        if code == CloseCode.RESTARTING:
            return Closed(left=False, grace_seconds=STOPPING_GRACE_SECONDS)
        return Closed(left=code in _BLAMED, grace_seconds=self._settings.reconnect_grace_seconds)

    @staticmethod
    async def _say_closed(session: Ref[SessionMessage], closed: Closed) -> None:
        """Tell the session, however much still waits for it: this message is the one that must not be dropped."""
        while True:
            try:
                session.tell(closed)
            except MailboxFull:
                await asyncio.sleep(0.05)
                continue
            except ActorStopped:
                log.debug("session_ended_before_its_connection", actor=session.name)
            return
