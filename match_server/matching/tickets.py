"""Tickets, the groups that may play together, and what a proposal says. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from match_server.matching.attributes import Value


@dataclass(frozen=True, slots=True)
class Meeting:
    """A player that somebody met in an earlier match, for the rule `rematch`."""

    player_id: str
    at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Member:
    """A player of a ticket."""

    player_id: str
    attributes: Mapping[str, Value] = field(default_factory=dict)
    met: tuple[Meeting, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """What waits in a queue: a player, or a party that stays together."""

    ticket_id: str
    members: tuple[Member, ...]
    enqueued_at: float  # seconds since the epoch; a requeued ticket keeps it
    version: int = 0  # changes with the ticket, so that a proposal of an older one is refused

    @property
    def seniority(self) -> tuple[float, str]:
        """The older ticket sorts first; among equals the id decides, so that the order is the same everywhere."""
        return (self.enqueued_at, self.ticket_id)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A group of tickets that the rules allow, ready to be committed."""

    tickets: tuple[Ticket, ...]  # oldest first
    teams: Mapping[str, tuple[str, ...]]  # team -> player ids; empty for a mode without teams
    roles: Mapping[str, str]  # player id -> role; empty for a mode without roles
    region: str | None  # None: no rule chose one
    properties: Mapping[str, str | float]  # what `same` and `common` settled
    difference: float = 0  # of the mode's first rule of that kind
    team_difference: float = 0
