"""Why is a ticket not matched? Answered from the proposer's last look, without naming anybody else."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from match_server.matching.entries import Entry
from match_server.matching.limits import Slots
from match_server.matching.propose import Proposer
from match_server.matching.rules import Difference, Rule, TeamDifference


@dataclass(frozen=True, slots=True)
class RuleExplained:
    """What one rule does to a ticket."""

    kind: str
    attribute: str | None
    limit: float | None  # for this ticket, now; None where the rule has none or no longer asks
    excluded: int  # how many other tickets this rule alone keeps away
    excluded_with_others: int  # how many it keeps away, whatever the others do


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest ticket that no other rule keeps away, and when the windows of both reach each other."""

    value: float
    allowed_in_seconds: float | None  # None: never, by their ages alone


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a ticket waits."""

    stage: str
    waiting: int
    candidates: int
    rules: tuple[RuleExplained, ...]
    nearest: Nearest | None
    missing: str | None  # the attribute that the rules need and the ticket lacks
    rules_version: str
    acceptable: float | None = (
        None  # with `second_is_worth`: the difference worth taking now, in a match of this ticket
    )

    def as_json(self) -> Mapping[str, Any]:
        """The document of `GET /players/{player_id}/explanation`."""
        document: dict[str, Any] = {
            "stage": self.stage,
            "waiting": self.waiting,
            "candidates": self.candidates,
            "rules": [
                {
                    "kind": rule.kind,
                    "attribute": rule.attribute,
                    "limit": rule.limit,
                    "excluded": rule.excluded,
                    "excluded_with_others": rule.excluded_with_others,
                }
                for rule in self.rules
            ],
            "nearest": None,
            "rules_version": self.rules_version,
        }
        if self.nearest is not None:
            document["nearest"] = {
                "value": self.nearest.value,
                "allowed_in_seconds": self.nearest.allowed_in_seconds,
            }
        if self.missing is not None:
            document["missing"] = self.missing
        if self.acceptable is not None:
            document["acceptable_difference"] = self.acceptable
        return document


def explain(proposer: Proposer, ticket_id: str, now: float) -> Explanation | None:
    """Why this ticket waits, by the picture as it is; None if it is not in it.

    Args:
        proposer: Of the ticket's mode.
        ticket_id: The ticket.
        now: Seconds since the epoch, on the clock of the tickets' `enqueued_at`.
    """
    version = proposer.mode.rules_version
    waiting = len(proposer.picture) + len(proposer.lacking)
    stage = "waiting" if proposer.slots.any_open else "no_slots"
    lacking = proposer.lacking.get(ticket_id)
    if lacking is not None:
        return Explanation(stage, waiting, 0, (), None, lacking.missing, version)
    slot = proposer.picture.slots.get(ticket_id)
    if slot is None:
        return None
    picture = proposer.picture
    others = picture.order()
    others = others[others != slot]
    rules, allowed = _rules(proposer, slot, others, now)
    nearest = _nearest(proposer, picture.entry(slot), others, allowed, now)
    candidates = int(np.all(list(allowed.values()), axis=0).sum()) if allowed else len(others)
    acceptable = _acceptable(proposer, picture.entry(slot), now)
    return Explanation(stage, waiting, candidates, tuple(rules), nearest, None, version, acceptable)


def _acceptable(proposer: Proposer, entry: Entry, now: float) -> float | None:
    """The difference that is worth taking now, if the others of the match have just come."""
    if proposer.patience is None:
        return None
    acceptable = proposer.patience.acceptable(np.array([entry.value]), now)
    if acceptable is None:
        return None
    return float(acceptable[0] + proposer.patience.growth * entry.size * (now - entry.enqueued_at))


def _rules(
    proposer: Proposer, slot: int, others: Slots, now: float
) -> tuple[list[RuleExplained], dict[int, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]]:
    """Each rule that can be told of two tickets, and for each which others it allows."""
    picture, entry = proposer.picture, proposer.picture.entry(slot)
    mine = np.full(len(others), slot)
    numbered = list(enumerate(proposer.mode.rules or ()))
    allowed = {
        number: picture.columns[number].allows(mine, others, now) for number, _ in numbered if number in picture.columns
    }
    refusals = np.sum([~mask for mask in allowed.values()], axis=0) if allowed else np.zeros(len(others))
    explained = []
    for number, rule in numbered:
        if number not in allowed:
            continue
        refused = ~allowed[number]
        alone = int((refused & (refusals == 1)).sum())
        explained.append(
            RuleExplained(
                rule.kind, getattr(rule, "attribute", None), _limit(rule, entry, now), alone, int(refused.sum())
            )
        )
    return explained, allowed


def _limit(rule: Rule, entry: Entry, now: float) -> float | None:
    limit = rule.limit(now - entry.enqueued_at) if hasattr(rule, "limit") else inf
    return None if limit == inf else float(limit)


def _nearest(
    proposer: Proposer,
    entry: Entry,
    others: Slots,
    allowed: dict[int, "np.ndarray[tuple[int], np.dtype[np.bool_]]"],
    now: float,
) -> Nearest | None:
    """The nearest by the first rule of differences, of those that only this rule may keep away."""
    picture = proposer.picture
    compared = [n for n, rule in enumerate(proposer.mode.rules or ()) if isinstance(rule, Difference) and n in allowed]
    if not compared or not len(others):
        return None
    rest = [mask for number, mask in allowed.items() if number != compared[0]]
    near = others[np.all(rest, axis=0)] if rest else others
    if not len(near):
        return None
    slot = picture.slots[entry.ticket.ticket_id]
    values = picture.values_by(compared[0], np.full(len(near), slot), near)
    best = int(np.argmin(values))
    rule = (proposer.mode.rules or ())[compared[0]]
    other = picture.entry(int(near[best]))
    seconds = _reached_in(rule, float(values[best]), now - entry.enqueued_at, now - other.enqueued_at)
    return Nearest(float(values[best]), seconds)


def _reached_in(rule: Rule, value: float, *ages: float) -> float | None:
    """In how many seconds the windows of tickets of these ages allow the value; None: never by their ages alone."""
    if not isinstance(rule, Difference | TeamDifference):
        return None
    deciding = (max(ages),) if rule.age == "oldest" else ages
    steps = {0.0, *rule.changes()}
    if rule.widen_per_second is not None and value > rule.max:
        steps.add((value - rule.max) / rule.widen_per_second)
    waits = []
    for age in deciding:
        reached = [max(0.0, step - age) for step in steps if rule.limit(max(age, step)) >= value - 1e-9]
        if not reached:
            return None
        waits.append(min(reached))
    return max(waits)
