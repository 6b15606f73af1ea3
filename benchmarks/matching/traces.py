"""Arrivals to measure with: Poisson, ratings N(1500, 300) cut to 100 to 3000, some of whom give up, or in parties."""

import random
from collections.abc import Iterator
from math import inf

from match_server.matching.tickets import Member, Ticket
from match_server.simulate.arrivals import Arrival

PARTIES, WEIGHTS = (1, 2, 3, 4), (60, 25, 10, 5)
GIVE_UP, PATIENCE_SECONDS = 0.05, 120.0
MEAN, DEVIATION, PARTY_DEVIATION = 1500.0, 300.0, 150.0


def duels(*, per_minute: float, minutes: float, seed: int) -> list[Arrival]:
    """Single players, one in twenty of whom gives up."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark, to be repeated
    arrivals = []
    for number, at in enumerate(_times(chance, per_minute, minutes)):
        ticket = Ticket(f"p{number}", (Member(f"p{number}", {"rating": _rating(chance, MEAN, DEVIATION)}),), at)
        leaves = at + chance.expovariate(1 / PATIENCE_SECONDS) if chance.random() < GIVE_UP else inf
        arrivals.append(Arrival(ticket, leaves))
    return arrivals


def parties(*, per_minute: float, minutes: float, seed: int) -> list[Arrival]:
    """Parties of one to four; a party's ratings lie around a base of its own."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark, to be repeated
    mean_size = sum(size * weight for size, weight in zip(PARTIES, WEIGHTS, strict=True)) / sum(WEIGHTS)
    arrivals = []
    for number, at in enumerate(_times(chance, per_minute / mean_size, minutes)):
        size = chance.choices(PARTIES, WEIGHTS)[0]
        base = _rating(chance, MEAN, DEVIATION)
        ratings = [base] if size == 1 else [_rating(chance, base, PARTY_DEVIATION) for _ in range(size)]
        members = tuple(Member(f"p{number}.{n}", {"rating": rating}) for n, rating in enumerate(ratings))
        arrivals.append(Arrival(Ticket(f"t{number}", members, at)))
    return arrivals


def _times(chance: random.Random, per_minute: float, minutes: float) -> Iterator[float]:
    at = chance.expovariate(per_minute / 60)
    while at < minutes * 60:
        yield round(at, 3)
        at += chance.expovariate(per_minute / 60)


def _rating(chance: random.Random, mean: float, deviation: float) -> float:
    while not 100 <= (rating := chance.gauss(mean, deviation)) <= 3000:
        pass
    return float(round(rating))
