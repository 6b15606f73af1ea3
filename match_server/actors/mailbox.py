"""A session's mailbox, as its socket and the subscriber see it: the messages, and what happens when it is full."""

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

from match_server.actors.core import Ref
from match_server.errors import ActorStopped, CloseCode, InvalidMessage, MailboxFull
from match_server.protocol import ClientMessage


def new_connection_id() -> str:
    """An id that fences everything a connection writes."""
    return uuid.uuid4().hex


class Socket(Protocol):
    """A connection, as its session sees it. No method blocks or raises; after a close nothing is sent any more."""

    def send(self, frame: str | bytes) -> None:
        """Send one text frame."""

    def claimed(self) -> None:
        """The connection has a player: it need not give way to others where the node is full."""

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Close the connection, with a reason in words; the session is told `Closed` when it has ended."""


class Identity(NamedTuple):
    """What a player's signed token says."""

    player_id: str
    attributes: Mapping[str, Any] = MappingProxyType({})  # those that only a token may say
    party_id: str | None = None
    expired: bool = False  # it may only take up again, by a resume token, what it began before


class Inbound(NamedTuple):
    """A message of the client, or why it is none; and when it was received, by Redis' clock as this node knows it."""

    message: ClientMessage | InvalidMessage
    asked_us: int


class Frame(NamedTuple):
    """A frame that came over a player's channel."""

    player_id: str
    data: bytes


class TakenOver(NamedTuple):
    """Redis says that another connection owns this player now."""

    player_id: str


class CatchUp(NamedTuple):
    """Frames may have been lost."""


class DeliverLate(NamedTuple):
    """What the session has read from its player's record is due, behind the frames that came before this message."""


class Closed(NamedTuple):
    """The connection has ended: the client left, or its link broke and it may come back within the grace time.

    `grace_seconds` is None where that of its game mode holds.
    """

    left: bool
    grace_seconds: float | None


SessionMessage: TypeAlias = Inbound | Frame | TakenOver | CatchUp | DeliverLate | Closed


class Mailbox:
    """Where the subscriber and the socket leave messages for a session. A client that reads too slowly is cut off."""

    __slots__ = ("_ref", "_socket", "connection")

    def __init__(self, connection: str, socket: Socket) -> None:
        self.connection = connection
        self._socket = socket
        self._ref: Ref[SessionMessage] | None = None

    def attach(self, ref: Ref[SessionMessage]) -> None:
        """Say where the session's mailbox is."""
        self._ref = ref

    def deliver(self, player_id: str, frame: bytes) -> None:
        """See `Listener.deliver`."""
        self._tell(Frame(player_id, frame))

    def taken_over(self, player_id: str) -> None:
        """See `Listener.taken_over`."""
        self._tell(TakenOver(player_id))

    def catch_up(self) -> None:
        """See `Listener.catch_up`."""
        self._tell(CatchUp())

    def deliver_late(self) -> None:
        """See `DeliverLate`."""
        self._tell(DeliverLate())

    def _tell(self, message: SessionMessage) -> None:
        try:
            if self._ref:
                self._ref.tell(message)
        except MailboxFull:
            self._socket.close(CloseCode.TOO_SLOW)  # it comes back, resumes, and is told all from its record
        except ActorStopped:
            pass  # the session has left already; its player's record is what counts
