"""What came of a simulation."""

from dataclasses import dataclass, field

from match_server.matching.modes import GameMode
from match_server.matching.tickets import Proposal, Ticket


@dataclass(frozen=True, slots=True)
class Match:
    """A match that was formed."""

    at: float
    proposal: Proposal


@dataclass(slots=True)
class Outcome:
    """What came of all who arrived."""

    mode: GameMode
    matches: list[Match] = field(default_factory=list)
    gave_up: list[tuple[Ticket, float]] = field(default_factory=list)  # and how long they had waited
    unmatched: list[Ticket] = field(default_factory=list)
    end: float = 0.0
