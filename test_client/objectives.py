"""What a run must come to: the objectives decide the exit status."""

from dataclasses import dataclass

from test_client.player import LEFT_WAITING, LOST
from test_client.summary import NORMAL, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that may happen; None is no objective.

    Args:
        max_lost: players without a stated end.
        max_unexpected: players whose end is stated, and not one of their behaviour's.
        max_places_lost: times that a player came back and its place was gone.
        max_left_waiting: players that left the queue unmatched; None: fewer than a match takes.
        max_p99_ms: from enqueue to `match_found`, loading included, over players of behaviour `normal`.
        max_p99_start_loading_ms: from enqueue to `start_loading`, likewise.
    """

    max_lost: int = 0
    max_unexpected: int = 0
    max_places_lost: int = 0
    max_left_waiting: int | None = None
    max_p99_ms: float | None = None
    max_p99_start_loading_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """One number against its limit; without a measured number it is not met."""

    name: str
    limit: float
    actual: float | None

    @property
    def met(self) -> bool:
        """The number is there and within the limit."""
        return self.actual is not None and self.actual <= self.limit


def judge(summary: Summary, limits: Limits) -> list[Objective]:
    """Hold a run against its objectives. A violation of the protocol is never allowed."""
    left_waiting = limits.max_left_waiting
    if left_waiting is None:
        left_waiting = (summary.match_size or 2) - 1
    objectives = [
        Objective("max_violations", 0, len(summary.violations)),
        Objective("max_lost", limits.max_lost, summary.total(LOST)),
        Objective("max_unexpected", limits.max_unexpected, len(summary.unexpected)),
        Objective("max_places_lost", limits.max_places_lost, summary.places_lost),
        Objective("max_left_waiting", left_waiting, summary.total(LEFT_WAITING)),
    ]
    for name, limit, moment in (
        ("max_p99_ms", limits.max_p99_ms, "match_found"),
        ("max_p99_start_loading_ms", limits.max_p99_start_loading_ms, "start_loading"),
    ):
        if limit is not None:
            measured = summary.latency_ms[NORMAL][moment]
            objectives.append(Objective(name, limit, measured.p99 if measured else None))
    return objectives
