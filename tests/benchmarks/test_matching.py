"""The benchmarks of the matching: that their traces are repeatable, and their figures what they say."""

from benchmarks.matching.bound import clairvoyant_cost
from benchmarks.matching.commands import _cost
from benchmarks.matching.plain import oldest_nearest
from benchmarks.matching.traces import duels, parties
from match_server.matching.tickets import Member, Ticket
from match_server.simulate.arrivals import Arrival


def arrive(number: int, at: float, rating: float) -> Arrival:
    return Arrival(Ticket(f"p{number}", (Member(f"p{number}", {"rating": float(rating)}),), at))


def test_the_same_seed_gives_the_same_trace() -> None:
    assert duels(per_minute=60, minutes=2, seed=3) == duels(per_minute=60, minutes=2, seed=3)
    sizes = {len(arrival.ticket.members) for arrival in parties(per_minute=60, minutes=10, seed=3)}
    assert sizes == {1, 2, 3, 4}


def test_the_clairvoyant_waits_for_the_better_pair() -> None:
    arrivals = [arrive(1, 0, 1500), arrive(2, 1, 1600), arrive(3, 2, 1510), arrive(4, 3, 1600)]
    # 1 with 3 (10 apart, 2 s), 2 with 4 (0 apart, 2 s)
    assert clairvoyant_cost(arrivals, 1.0) == (10 + 2 + 0 + 2) / 2


def test_the_plain_matcher_takes_the_nearest_that_both_windows_allow() -> None:
    arrivals = [arrive(1, 0.5, 1500), arrive(2, 0.6, 1540), arrive(3, 0.7, 1530), arrive(4, 60, 1000)]
    (pair,) = oldest_nearest(arrivals)
    assert pair.difference == 30
    assert pair.waits == (1.0 - 0.5, 1.0 - 0.7)


def test_a_price_on_seconds_costs_at_most_a_third_more_than_knowing_the_future() -> None:
    arrivals = duels(per_minute=60, minutes=15, seed=11)
    cost, _ = _cost(arrivals, 10.0)
    assert 1.0 <= cost / clairvoyant_cost(arrivals, 10.0) < 1.36, "a short trace: 1.30 is for a whole one"
