"""The gateway of `/ws/`: socket <-> session. It reads all the time and never waits for business work.

An application that stops reading would stop uvicorn from seeing pongs, and healthy clients would be cut off
(docs/races.md, 14). So each message goes into the session's mailbox at once; what is too much is refused here.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from match_server import protocol
from match_server.actors.core import ActorSystem, Ref
from match_server.actors.mailbox import Closed, Inbound, Mailbox, SessionMessage, new_connection_id
from match_server.actors.services import SessionContext
from match_server.actors.session import MAILBOX_LIMIT, STOPPING_GRACE_SECONDS, Session
from match_server.config import Settings
from match_server.errors import ActorStopped, CloseCode, ErrorCode, InvalidMessage, MailboxFull
from match_server.events.node import Events, HandshakeRefused, MessageRefused, OriginRefused
from match_server.redis_clock import RedisClock
from match_server.web.access import client_address, why_origin_refused
from match_server.web.limits import ConnectionLimit, Place, TokenBucket
from match_server.web.player_tokens import NotAuthenticated, PlayerTokens
from match_server.web.problems import problem
from match_server.web.websocket_protocol import SCOPE_KEY, PlayerConnection

log = structlog.get_logger(__name__)

SESSIONS_PHASE = 0
SUBPROTOCOL = "match.v1"
_NO_STATUS_RECEIVED = 1005
# A client that begins the close with one of these leaves; with any other code it may come back.
_LEAVING = {CloseCode.NORMAL, CloseCode.GOING_AWAY, _NO_STATUS_RECEIVED}
# After these closes of ours the client has itself to blame, and keeps no place.
_BLAMED = {CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_PAYLOAD, CloseCode.POLICY, CloseCode.TOO_BIG}
_PONG = protocol.encode(protocol.Pong())
_FULL_SECONDS = 1.0
_RESUME_SECONDS = 1.0  # for a connection whose token has expired
_BAD_MESSAGES = 40  # refused, over those accepted since, before the connection is closed with 1008


class _Socket:
    """The session's side of a connection."""

    __slots__ = ("_connection", "_events", "_has_claimed", "_place")

    def __init__(self, connection: PlayerConnection, place: Place, events: Events) -> None:
        self._connection = connection
        self._has_claimed = False
        self._place = place
        self._events = events

    def send(self, frame: str | bytes) -> None:
        self._connection.send_frame(frame.encode() if isinstance(frame, str) else frame)

    def claimed(self) -> None:
        self._has_claimed = True
        self._place.claimed()

    def close(self, code: CloseCode, reason: str = "") -> None:
        self._connection.close(code, reason)

    def refuse_message(self, code: ErrorCode, reason: str, **details: float) -> None:
        """Refuse what the client sent, before its session has heard of it."""
        self._events.record(MessageRefused(code, reason))
        self.send(protocol.error_frame(code, reason, **details))

    def refuse(self, reason: str) -> None:
        """Refuse the connection: its token names no player that may play."""
        self.refuse_message(ErrorCode.UNAUTHORIZED, reason)
        self.close(CloseCode.UNAUTHORIZED, reason)

    def refuse_unclaimed(self, reason: str) -> None:
        """The same, unless it has taken up a player's journey meanwhile."""
        if not self._has_claimed:
            self.refuse(reason)


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
        wait_seconds = round(max(wait_seconds, 0.001), 3)
        self._socket.refuse_message(ErrorCode.RATE_LIMITED, reason, retry_after_seconds=wait_seconds)

    def _pass_on(self, text: str | None) -> bool:
        """Leave a message with the session; False when it has too many waiting."""
        if text is None:
            self._socket.refuse_message(ErrorCode.INVALID_MESSAGE, "expected a text frame, not a binary one")
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
        tokens: PlayerTokens,
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
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, from its handshake to its end."""
        headers = Headers(scope=scope)
        await receive()  # websocket.connect
        peer = scope["client"][0] if scope["client"] else ""
        address = client_address(peer, headers, self._settings.trusted_proxies)
        if reason := why_origin_refused(headers, self._settings.allowed_origins):
            self._context.events.record(OriginRefused(headers["origin"][:200]))
            await problem(403, reason).as_denial(send)
            return
        place = None
        reason = self._not_serving()
        if reason is None:
            place = self._limit.enter(address)
            reason = "too many connections"
        if place is None:
            self._context.events.record(HandshakeRefused(503, reason, address))
            await problem(503, reason).as_denial(send)
            return
        try:
            await self._serve(scope, headers, place, receive, send)
        finally:
            place.leave()

    def _not_serving(self) -> str | None:
        return "this node is stopping" if self._draining() else self._tokens.not_ready

    async def _serve(self, scope: Scope, headers: Headers, place: Place, receive: Receive, send: Send) -> None:
        # A browser breaks off a handshake that picks none of the subprotocols that it offered.
        offered = scope.get("subprotocols", ())
        chosen = SUBPROTOCOL if SUBPROTOCOL in offered else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        connection: PlayerConnection = scope["extensions"].pop(SCOPE_KEY)  # which holds the scope: no circle to collect
        socket = _Socket(connection, place, self._context.events)
        place.accepted(partial(connection.close, CloseCode.GAVE_WAY))
        identity = None
        if self._tokens.required:
            found = await self._tokens.identity(headers, QueryParams(scope["query_string"]), offered)
            if isinstance(found, NotAuthenticated):
                socket.refuse(found.reason)
                return
            identity = found
            if identity.expired:  # its player may still resume
                loop = asyncio.get_running_loop()
                loop.call_later(_RESUME_SECONDS, socket.refuse_unclaimed, "the token has expired")
        mailbox = Mailbox(new_connection_id(), socket)
        session = self._system.spawn(
            f"session/{mailbox.connection}",
            lambda: Session(context=self._context, mailbox=mailbox, socket=socket, identity=identity),
            mailbox_limit=MAILBOX_LIMIT,
            phase=SESSIONS_PHASE,
        )
        mailbox.attach(session)
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
            return Closed(left=code in _LEAVING, grace_seconds=None)
        if code == CloseCode.RESTARTING:
            return Closed(left=False, grace_seconds=STOPPING_GRACE_SECONDS)
        return Closed(left=code in _BLAMED, grace_seconds=None)

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
