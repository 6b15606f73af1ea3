"""What happens on this node, for its own metrics and log: small events, taken at once to those who listen, then gone.

They are not the pool's events, which scripts write into the stream of Redis (`data.py`, `cloudevents.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """Something that has happened."""


E = TypeVar("E", bound=NodeEvent)


class Events:
    """The port: parts record what happens, and know nothing of who listens. Runs in the event loop's thread."""

    def __init__(self) -> None:
        self._listeners: dict[type[NodeEvent], tuple[Callable[[Any], None], ...]] = {}

    def listen(self, kind: type[E], listener: Callable[[E], None]) -> None:
        """Call `listener` with each event of this very type. It returns soon, and raises nothing."""
        self._listeners[kind] = (*self._listeners.get(kind, ()), listener)

    def record(self, event: NodeEvent) -> None:
        """Take an event to its listeners, before this returns."""
        for listener in self._listeners.get(type(event), ()):
            listener(event)


@dataclass(frozen=True, slots=True)
class FrameDelivered(NodeEvent):
    """A journey frame went to a player."""

    type: str
    player_id: str
    connection: str


@dataclass(frozen=True, slots=True)
class PlayerDequeued(NodeEvent):
    """A script run by this node took a player from its queue or its match for good."""

    player_id: str
    game_mode: str
    reason: str  # as in its `dequeued` frame
    loading_session_id: str | None  # None for one that was queued
    left_by: str  # the member of its party that left, where that is why


@dataclass(frozen=True, slots=True)
class MatchesFormed(NodeEvent):
    """Matches of a mode were formed."""

    game_mode: str
    count: int
    waits_us: tuple[int, ...]  # how long each of their players had waited


@dataclass(frozen=True, slots=True)
class SlotLacking(NodeEvent):
    """A match could not be formed: no dedicated server has room for it."""

    game_mode: str
    region: str = ""  # where it needs one of a region


@dataclass(frozen=True, slots=True)
class RulesRefused(NodeEvent):
    """A match could not be formed: this node's mode is not the pool's."""

    game_mode: str


@dataclass(frozen=True, slots=True)
class ProposalStale(NodeEvent):
    """A proposed match could not be formed: a ticket had gone or changed meanwhile."""

    game_mode: str


@dataclass(frozen=True, slots=True)
class MatchLoaded(NodeEvent):
    """The last player of a match has finished loading."""

    game_mode: str
    seconds: float  # since the match was formed


@dataclass(frozen=True, slots=True)
class SessionAsked(NodeEvent):
    """A dedicated server was asked for a session; a call for several counts once for each."""

    outcome: str  # `created`, or as in `NotCreated`
    seconds: float  # that the call took


@dataclass(frozen=True, slots=True)
class MatchConfirmed(NodeEvent):
    """A match got its session."""

    game_mode: str
    loading_session_id: str
    session_id: str
    server_id: str
    players: tuple[str, ...]
    since_match_ms: int | None  # since the match was formed; None where that is not known


@dataclass(frozen=True, slots=True)
class MatchCancelled(NodeEvent):
    """A script run by this node ended a match before it was found."""

    loading_session_id: str
    game_mode: str
    reason: str  # as in the `match_cancelled` frames
    at_fault: tuple[str, ...]  # the players who left it, or did not load in time
    requeued: int  # how many of its players are back in the queue


@dataclass(frozen=True, slots=True)
class MessageRefused(NodeEvent):
    """A player was sent an `error` frame."""

    code: str
    reason: str
    player_id: str | None = None


@dataclass(frozen=True, slots=True)
class HandshakeRefused(NodeEvent):
    """A WebSocket handshake was refused."""

    status: int
    reason: str
    peer: str


@dataclass(frozen=True, slots=True)
class OriginRefused(NodeEvent):
    """A WebSocket handshake was refused for the page that it came from."""

    origin: str


@dataclass(frozen=True, slots=True)
class OperatorRefused(NodeEvent):
    """An operator's call, or a login, came with a key that is none, or that does not let it do this."""

    status: int
    reason: str
    peer: str | None


@dataclass(frozen=True, slots=True)
class ServerRefused(NodeEvent):
    """A dedicated server's registration was refused."""

    status: int
    reason: str
    peer: str | None


@dataclass(frozen=True, slots=True)
class ServerIdTaken(NodeEvent):
    """A heartbeat was refused: another process has registered under its id since."""

    server_id: str
    peer: str | None


@dataclass(frozen=True, slots=True)
class RulesCompared(NodeEvent):
    """Redis has said whether this node's rules of a mode are other than the pool's."""

    game_mode: str
    revision: int
    differ: bool
    changed: bool  # since the last time; before the first they count as alike


@dataclass(frozen=True, slots=True)
class ModesCompared(NodeEvent):
    """The nodes whose game modes are not this node's are others than before."""

    nodes: Sequence[str]
    modes_hash: str  # of this node


@dataclass(frozen=True, slots=True)
class ScriptsRan(NodeEvent):
    """A round trip to Redis has ended."""

    first: str  # of its scripts
    seconds: float
