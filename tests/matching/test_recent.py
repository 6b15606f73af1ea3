"""What operators see of a mode: its last matches, and how far windows are open."""

import pytest

from match_server.matching.overview import overview
from match_server.matching.propose import Proposer, propose
from match_server.matching.recent import MATCHES, PerMinute, Recent, percentiles
from tests.matching.pools import NOW, mode_of, solo

DUEL = mode_of(
    players=2,
    rules=[
        {"kind": "difference", "attribute": "rating", "max": 50, "widen_per_second": 10, "optional_after_seconds": 100}
    ],
)


def test_a_minute_is_counted_to_the_second() -> None:
    counted = PerMinute()
    for second in range(100):
        counted.add(2, float(second))
    assert counted.count(99.0) == 120
    assert counted.count(130.5) == 2 * 29
    counted.add(0, 131.0)
    assert counted.count(1000.0) == 0


def test_the_differences_are_those_of_the_last_matches() -> None:
    recent = Recent(DUEL)
    assert recent.differences() == {"matches": 0, "difference": None, "team_difference": None}
    (proposal,) = propose([solo(1), solo(2, rating=1540.0)], NOW, DUEL)
    for _ in range(MATCHES + 5):
        recent.formed(proposal)
    known = recent.differences()
    assert known["matches"] == MATCHES
    assert known["difference"] == {"p50": 40.0, "p90": 40.0, "p99": 40.0}
    assert known["team_difference"] is None, "no rule compares teams"


def test_percentiles_leave_out_what_has_no_end() -> None:
    assert percentiles([]) is percentiles([float("inf")]) is None
    assert percentiles([1.0, 2.0, 3.0, float("inf")]) == {
        "p50": 2.0,
        "p90": pytest.approx(2.8),
        "p99": pytest.approx(2.98),
    }


def test_windows_are_those_of_the_tickets_that_wait() -> None:
    proposer = Proposer(DUEL)
    for number, waited in enumerate((0.0, 10.0, 20.0, 200.0)):
        proposer.add(solo(number, waited=waited, rating=1000.0 * number))
    (window,) = overview(proposer, NOW)["windows"]
    assert (window["kind"], window["attribute"], window["no_longer_asked"]) == ("difference", "rating", 1)
    assert window["limit"]["p50"] == pytest.approx(150)
    assert overview(proposer, NOW)["acceptable_difference"] is None
    assert overview(Proposer(DUEL), NOW)["windows"][0]["limit"] is None
