"""The model of docs/scaling.md, against formulas that hold for parts of it."""

from dataclasses import replace
from statistics import fmean

import pytest

from benchmarks.scaling.command import fleet_for, plan_for
from benchmarks.scaling.model import Costs, DoesNotHold, Plan, simulate

NOTHING = Costs(node_per_match=1e-9, redis_per_match=1e-9)
SLOTS = Plan(costs=NOTHING, matches_per_second=8, players_per_match=1, session_seconds=1, slots=12, seconds=15_000)


def erlang_c(servers: int, load: float) -> float:
    """The probability that an M/M/c queue lets an arrival wait (A. K. Erlang, 1917), by the recursion of Erlang B."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return servers * blocked / (servers - load * (1 - blocked))


def test_waiting_for_a_slot_is_as_erlang_says() -> None:
    waits = simulate(SLOTS).for_a_slot
    waiting = erlang_c(12, 8)
    assert fmean(wait > 0 for wait in waits) == pytest.approx(waiting, rel=0.1)
    assert fmean(waits) == pytest.approx(waiting / (12 - 8), rel=0.2)


def test_the_slots_that_are_taken_are_as_little_says() -> None:
    plan = replace(
        SLOTS, seconds=5_000, slots=None, players_per_match=2, loading=(1, 1), session_seconds=4, warm_up_seconds=50
    )
    assert fmean(simulate(plan).slots_taken) == pytest.approx(8 * (1 + 4), rel=0.02)


def test_a_core_is_waited_for_as_pollaczek_and_khinchine_say() -> None:
    """An M/D/1 queue: a node alone, of which a match takes 0.4 seconds at once, and the rest much later or never."""
    costs = Costs(node_per_match=1, redis_per_match=1e-9)
    plan = Plan(costs=costs, matches_per_second=0.5, players_per_match=1, nodes=1, loading=(1e6, 1e6), seconds=100_000)
    busy = 0.5 * 0.4
    assert fmean(simulate(plan).to_start) == pytest.approx(0.4 * (1 + busy / (2 * (1 - busy))), rel=0.03)


def test_a_seed_is_a_run() -> None:
    plan = plan_for(10_000, seconds=10)
    assert simulate(plan) == simulate(plan) != simulate(replace(plan, seed=2))


def test_too_much_work_is_said() -> None:
    with pytest.raises(DoesNotHold, match=r"^the core of a node has 290% of its time to do$"):
        simulate(Plan(costs=replace(NOTHING, node_per_match=2.9e-3), matches_per_second=1000))
    with pytest.raises(DoesNotHold, match=r"^the core of a pool's Redis"):
        simulate(replace(plan_for(1_000_000, seconds=10), pools=1))


def test_a_fleet_of_that_size_lets_about_one_match_in_a_thousand_wait() -> None:
    for load in (500.0, 5_000.0, 50_000.0):
        assert 0.0003 < erlang_c(fleet_for(load), load) < 0.002
