"""The figures of a simulation: waiting, differences, who was left, by rating and by party."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from match_server.matching.modes import GameMode
from match_server.matching.rules import Difference, TeamDifference
from match_server.matching.tickets import Ticket
from match_server.simulate.outcome import Outcome

Figures = dict[str, Any]


class Placed(NamedTuple):
    """A player that was matched."""

    ticket: Ticket
    player_id: str
    waited: float
    value: float
    difference: float


def figures(outcome: Outcome) -> Figures:
    """All figures, as JSON takes them; numbers are rounded, so that they are the same everywhere."""
    players = list(placed(outcome))
    matches = [match.proposal for match in outcome.matches]
    waits = [player.waited for player in players]
    found: Figures = {
        "mode": outcome.mode.name,
        "rules_version": outcome.mode.rules_version,
        "minutes": _round(outcome.end / 60),
        "players": {
            "matched": len(players),
            "gave_up": sum(len(ticket.members) for ticket, _ in outcome.gave_up),
            "unmatched": sum(len(ticket.members) for ticket in outcome.unmatched),
        },
        "matches": len(matches),
        "waiting_seconds": distribution(waits),
        "difference": distribution([match.difference for match in matches]),
        "by_decile": by_decile(players),
        "by_party_size": {
            str(size): distribution([player.waited for player in players if len(player.ticket.members) == size])
            for size in sorted({len(player.ticket.members) for player in players})
        },
    }
    if any(isinstance(rule, TeamDifference) for rule in outcome.mode.rules or ()):
        found["team_difference"] = distribution([match.team_difference for match in matches])
    regions = Counter(match.region for match in matches if match.region is not None)
    if regions:
        found["regions"] = dict(sorted(regions.items()))
    return found


def placed(outcome: Outcome) -> Iterable[Placed]:
    """Every player that was matched, match by match."""
    attribute = compared(outcome.mode)
    for match in outcome.matches:
        for ticket in match.proposal.tickets:
            for member in ticket.members:
                value: Any = member.attributes.get(attribute, 0.0) if attribute else 0.0
                waited = match.at - ticket.enqueued_at
                yield Placed(ticket, member.player_id, waited, float(value), match.proposal.difference)


def compared(mode: GameMode) -> str | None:
    """The attribute that the mode compares first."""
    rules = (rule for rule in mode.rules or () if isinstance(rule, Difference | TeamDifference))
    return next((rule.attribute for rule in rules), None)


def by_decile(players: Sequence[Placed]) -> list[Figures]:
    """For each tenth of the players, by what the mode compares: how long they waited, and their matches' difference."""
    ordered = sorted(players, key=lambda player: (player.value, player.player_id))
    tenths = [ordered[len(ordered) * part // 10 : len(ordered) * (part + 1) // 10] for part in range(10)]
    return [
        {
            "from": _round(tenth[0].value),
            "to": _round(tenth[-1].value),
            "waiting_seconds": distribution([player.waited for player in tenth]),
            "difference": distribution([player.difference for player in tenth]),
        }
        for tenth in tenths
        if tenth
    ]


def distribution(values: Sequence[float]) -> Figures:
    """Mean, percentiles and the largest."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "mean": _round(sum(ordered) / len(ordered)),
        "p50": _round(percentile(ordered, 0.5)),
        "p95": _round(percentile(ordered, 0.95)),
        "max": _round(ordered[-1]),
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so great a share of the values does not exceed."""
    return ordered[max(0, -(-round(share * len(ordered) * 1000) // 1000) - 1)]


def _round(value: float) -> float:
    return round(value, 3)
