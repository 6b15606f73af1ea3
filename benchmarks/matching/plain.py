"""A plain matcher to compare with: every second, the oldest first, each with its nearest that both windows allow."""

from collections.abc import Sequence
from typing import NamedTuple

from match_server.simulate.arrivals import Arrival

STEPS = ((30.0, 400.0), (10.0, 150.0), (0.0, 50.0))  # from this age on, this far


class Pair(NamedTuple):
    """Two players that were matched."""

    waits: tuple[float, float]
    difference: float


def oldest_nearest(arrivals: Sequence[Arrival]) -> list[Pair]:
    """Match single players as many services do."""
    pairs: list[Pair] = []
    waiting: list[tuple[float, float, float]] = []  # at, rating, gives up at
    coming = [(a.ticket.enqueued_at, _rating(a), a.cancel_at) for a in arrivals]
    now, next_one = 0.0, 0
    while next_one < len(coming):
        now += 1.0
        while next_one < len(coming) and coming[next_one][0] <= now:
            waiting.append(coming[next_one])
            next_one += 1
        waiting = sorted(player for player in waiting if player[2] > now)
        matched: set[int] = set()
        for one, (at, rating, _) in enumerate(waiting):
            others = [n for n in range(len(waiting)) if n != one and n not in matched and one not in matched]
            windows = [min(_window(now - at), _window(now - waiting[n][0])) for n in others]
            near = [n for n, window in zip(others, windows, strict=True) if abs(waiting[n][1] - rating) <= window]
            distances = [(abs(waiting[n][1] - rating), n) for n in near]
            nearest = min(distances, default=(0.0, None))[1]
            if nearest is not None:
                matched |= {one, nearest}
                pairs.append(Pair((now - at, now - waiting[nearest][0]), abs(waiting[nearest][1] - rating)))
        waiting = [player for n, player in enumerate(waiting) if n not in matched]
    return pairs


def _window(age: float) -> float:
    return next(width for after, width in STEPS if age >= after)


def _rating(arrival: Arrival) -> float:
    rating = arrival.ticket.members[0].attributes["rating"]
    return float(rating) if isinstance(rating, float) else 0.0
