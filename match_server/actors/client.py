"""The client at the other end of a session: as whom it may speak, and what it is told when a request is refused."""

from match_server import protocol
from match_server.actors.mailbox import Identity, Socket
from match_server.actors.seen import Seen
from match_server.errors import CloseCode, ErrorCode
from match_server.events.node import Events, MessageRefused

RETRY_AFTER_SECONDS = 1.0


class Client:
    """Answers the requests of one connection that are not carried out."""

    def __init__(self, socket: Socket, identity: Identity | None, events: Events) -> None:
        """`identity` names the only player that this client may speak for, when players are authenticated."""
        self._socket = socket
        self._identity = identity
        self._events = events
        self._player_id: str | None = None  # whom it last wanted to speak for

    @property
    def authenticated(self) -> bool:
        """Whether it has proved who it is."""
        return self._identity is not None

    def may_speak_for(self, player_id: str, current: Seen | None) -> bool:
        """Whether this client, whose own journey is `current`, may claim this player; refuse it if not."""
        self._player_id = player_id
        if self._identity is not None and player_id != self._identity.player_id:
            self._unauthorized("player_id: not the player of this connection's token")
            return False
        if current and current.running and player_id != current.player_id:
            self.refuse(ErrorCode.INVALID_MESSAGE, "player_id: expected this connection's own, while its journey runs")
            return False
        return True

    def may_begin(self) -> bool:
        """Whether it may begin a journey, and not only go on with one; refuse it if not."""
        if self._identity is not None and self._identity.expired:
            self._unauthorized("the token has expired; it is good only for resuming what it began")
            return False
        return True

    def refuse(self, code: ErrorCode, message: str, **details: str | float) -> None:
        """Refuse a request; the connection stays open."""
        self._events.record(MessageRefused(code, message, self._player_id))
        self._socket.send(protocol.error_frame(code, message, **details))

    def refuse_for_now(self, request: str) -> None:
        """The request may have taken effect; the frames that follow, or a repeat of it, will say."""
        busy = f"{request} could not be carried out now; repeat it"
        self.refuse(ErrorCode.SERVER_BUSY, busy, retry_after_seconds=RETRY_AFTER_SECONDS)

    def _unauthorized(self, reason: str) -> None:
        self.refuse(ErrorCode.UNAUTHORIZED, reason)
        self._socket.close(CloseCode.UNAUTHORIZED, reason)
