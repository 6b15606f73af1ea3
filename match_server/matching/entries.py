"""What the rules of one mode read of a ticket, taken out once when the ticket comes."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from match_server.matching.attributes import Value
from match_server.matching.modes import GameMode
from match_server.matching.rules import Apart, Common, Difference, Latency, Rematch, Rule, Same, TeamDifference
from match_server.matching.tickets import Ticket


@dataclass(slots=True, eq=False)
class Entry:
    """A waiting ticket as the rules see it."""

    ticket: Ticket
    size: int
    enqueued_at: float
    ids: frozenset[str]
    facts: tuple[Any, ...]  # one for each rule of the mode, in the form that its check reads
    roles: tuple[tuple[str, ...], ...]  # for each member the roles that it plays, best liked first; empty: any
    value: float  # where it stands: the mean of the attribute that the mode compares first
    alike: Hashable  # equal for tickets that the rules cannot tell apart
    seniority: tuple[float, str]  # see `Ticket.seniority`
    missing: str | None = None  # the attribute that the rules need and the ticket lacks: it waits


class EntryReader:
    """Makes entries of tickets, by the rules of one mode."""

    def __init__(self, mode: GameMode) -> None:
        """`mode` is formed by rules."""
        self._mode = mode
        self._rules = mode.rules or ()
        compared = (rule.attribute for rule in self._rules if isinstance(rule, Difference | TeamDifference))
        self._first = next(compared, None)

    def read(self, ticket: Ticket) -> Entry:
        """The entry of a ticket. An attribute that is missing takes its default: the rules may have changed since."""
        values = [self._values(member.attributes) for member in ticket.members]
        missing = next((name for name in sorted(self._mode.needed) if any(name not in of for of in values)), None)
        facts: tuple[Any, ...] = ()
        roles: tuple[tuple[str, ...], ...] = ()
        mean = 0.0
        if missing is None:
            facts = tuple(_fact(rule, ticket, values) for rule in self._rules)
            roles = tuple(of["roles"] for of in values) if self._mode.roles else ()
            if self._first is not None:
                mean = sum(of[self._first] for of in values) / len(values)
        return Entry(
            ticket,
            len(ticket.members),
            ticket.enqueued_at,
            frozenset(member.player_id for member in ticket.members),
            facts,
            roles,
            mean,
            (len(ticket.members), roles, *(_hashable(fact) for fact in facts)),
            ticket.seniority,
            missing,
        )

    def _values(self, given: Mapping[str, Value]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name in self._mode.needed:
            attribute = self._mode.attributes[name]
            value = attribute.read(given[name]) if name in given else None
            if value is None and attribute.default is not None:
                value = attribute.read(attribute.default)
            if value is not None:
                values[name] = value
        return values


def _fact(rule: Rule, ticket: Ticket, values: list[dict[str, Any]]) -> Any:  # noqa: PLR0911 - one for each kind
    match rule:
        case Difference():
            numbers = [of[rule.attribute] for of in values]
            return (min(numbers), max(numbers))
        case TeamDifference():
            return tuple(of[rule.attribute] for of in values)
        case Same():
            first = values[0][rule.attribute]
            # A party whose members differ is like nobody: not even like itself.
            return first if all(of[rule.attribute] == first for of in values) else None
        case Common():
            return tuple(of[rule.attribute] for of in values)
        case Latency():
            return _worst([of[rule.attribute] for of in values])
        case Apart():
            return frozenset(player_id for of in values for player_id in of[rule.attribute])
        case Rematch():
            return tuple(sorted((met.player_id, met.at) for member in ticket.members for met in member.met))
        case _:
            return None


def _worst(latencies: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """For each region that all members name the highest latency."""
    first, *others = latencies
    worst = dict(first)
    for other in others:
        worst = {region: max(ms, other[region]) for region, ms in worst.items() if region in other}
    return worst


def _hashable(fact: Any) -> Hashable:
    return tuple(sorted(fact.items())) if isinstance(fact, dict) else fact
