"""Why a ticket waits: what the explanation says, against what the rules are."""

import json
import time

import pytest

from match_server.matching.explain import Explanation, explain
from match_server.matching.modes import GameMode
from match_server.matching.propose import Proposer
from match_server.matching.tickets import Ticket
from tests.matching.pools import NOW, mode_of, solo

DUEL = mode_of(
    players=2,
    rules=[
        {"kind": "difference", "attribute": "rating", "max": 50, "widen": [{"after_seconds": 10, "max": 150}]},
        {"kind": "same", "attribute": "build"},
        {"kind": "latency", "attribute": "latency", "max": 60},
    ],
)


def explained(mode: GameMode, *tickets: Ticket, of: str = "t0") -> Explanation:
    proposer = Proposer(mode)
    for ticket in tickets:
        proposer.add(ticket)
    found = explain(proposer, of, NOW)
    assert found is not None
    return found


def test_each_rule_says_how_many_it_keeps_away_alone_and_with_others() -> None:
    found = explained(
        DUEL,
        solo(0),
        solo(1, rating=1600.0),  # too far away, and nothing else
        solo(2, rating=1600.0, build="b"),
        solo(3, latency={"us": 20.0}),
        solo(4, rating=1510.0),
    )
    assert (found.stage, found.waiting, found.candidates) == ("waiting", 5, 1)
    assert [(rule.kind, rule.limit, rule.excluded, rule.excluded_with_others) for rule in found.rules] == [
        ("difference", 50, 1, 2),
        ("same", None, 0, 1),
        ("latency", 60, 1, 1),
    ]


@pytest.mark.parametrize(
    ("mine", "theirs", "distance", "seconds"),
    [(0, 0, 40, 0), (0, 0, 100, 10), (4, 0, 100, 10), (0, 4, 100, 10), (8, 7, 100, 3), (0, 0, 200, None)],
)
def test_the_nearest_says_when_both_windows_reach(mine: int, theirs: int, distance: int, seconds: float | None) -> None:
    found = explained(DUEL, solo(0, waited=mine), solo(1, waited=theirs, rating=1500.0 + distance))
    assert found.nearest is not None
    assert (found.nearest.value, found.nearest.allowed_in_seconds) == (distance, seconds)


def test_a_window_that_widens_by_the_second_reaches_when_it_has_become_wide_enough() -> None:
    mode = mode_of(
        players=2,
        rules=[{"kind": "difference", "attribute": "rating", "max": 50, "widen_per_second": 5, "up_to": 100}],
    )
    found = explained(mode, solo(0, waited=2), solo(1, rating=1590.0))
    assert found.nearest is not None
    assert found.nearest.allowed_in_seconds == pytest.approx(8)
    found = explained(mode, solo(0), solo(1, rating=1601.0))
    assert found.nearest is not None
    assert found.nearest.allowed_in_seconds is None


def test_a_ticket_without_an_attribute_that_the_rules_need_is_told_which() -> None:
    ticket = solo(0)
    lacking = Ticket(ticket.ticket_id, tuple(type(m)(m.player_id, {"build": "a"}) for m in ticket.members), NOW)
    assert explained(DUEL, lacking).missing == "latency"


def test_it_names_nobody_else_and_is_json() -> None:
    document = json.dumps(explained(DUEL, solo(0), solo(77, rating=1600.0)).as_json())
    assert "t77" not in document
    assert "p77" not in document
    assert explain(Proposer(DUEL), "t0", NOW) is None


def test_ten_thousand_waiting_tickets_are_no_reason_to_wait_long() -> None:
    proposer = Proposer(DUEL)
    for number in range(10_000):
        proposer.add(solo(number, rating=float(number % 5000), build="ab"[number % 2]))
    explain(proposer, "t0", NOW)
    started = time.perf_counter()
    for _ in range(5):
        explain(proposer, "t0", NOW)
    assert (time.perf_counter() - started) / 5 < 0.01  # 1 ms on a machine with nothing else to do
