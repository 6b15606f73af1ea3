"""When players arrive: open-loop schedules, made before the run and independent of every reply."""

import random


def poisson_arrivals(*, matches_per_second: float, seconds: float, players: int, seed: int) -> list[float]:
    """Arrival times of single players, in seconds from the start, as a Poisson process.

    There are exactly as many as fill the matches of that time, so that nobody waits at the end for want of company.

    Raises:
        ValueError: not even one match fits.
    """
    count = round(matches_per_second * seconds) * players
    if count <= 0:
        raise ValueError("no match in that time")
    rng = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    gaps = [rng.expovariate(1.0) for _ in range(count)]
    scale = seconds / sum(gaps)
    times, now = [], 0.0
    for gap in gaps:
        now += gap * scale
        times.append(now)
    return times


def even_arrivals(*, per_second: float, count: int) -> list[float]:
    """Evenly spaced arrivals."""
    return [index / per_second for index in range(count)]
