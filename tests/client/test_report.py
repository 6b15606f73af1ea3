"""Numbers, objectives, the table and the JSON document."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from test_client.checks import Violation
from test_client.objectives import Limits, Objective, judge
from test_client.options import SwarmOptions
from test_client.report import LINES_SHOWN, passed, show, to_json
from test_client.rooms import RoomsReport
from test_client.summary import Percentiles, Summary, percentiles

FAST = Percentiles(count=8, p50=1, p90=2, p95=3, p99=4, max=5)


def summary(**fields: Any) -> Summary:
    latency = {"queued": FAST, "start_loading": FAST, "match_found": FAST}
    right: dict[str, Any] = {
        "seconds": 1.5,
        "interrupted": False,
        "players": 10,
        "match_size": 2,
        "matches": 4,
        "matches_per_second": 8.0,
        "fates": {"normal": Counter(matched=8), "never-loads": Counter({"dequeued:loading_timeout": 2})},
        "latency_ms": {"all": latency, "normal": latency},
        "violations": [],
        "unexpected": [],
        "refusals": {},
        "errors": Counter(),
        "links_lost": 0,
        "places_lost": 0,
        "quality": {},
        "regions": Counter(),
    }
    return Summary(**{**right, **fields})


def missed(limits: Limits, **fields: Any) -> list[str]:
    return [objective.name for objective in judge(summary(**fields), limits) if not objective.met]


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles([]) is None
    assert percentiles([0.002]) == Percentiles(1, 2, 2, 2, 2, 2)
    assert percentiles(number / 1000 for number in range(100, 0, -1)) == Percentiles(100, 50, 90, 95, 99, 100)


@given(seconds=st.lists(st.floats(0, 100), min_size=1))
def test_percentiles_are_in_order(seconds: list[float]) -> None:
    values = percentiles(seconds)
    assert values is not None
    assert values.p50 <= values.p90 <= values.p95 <= values.p99 <= values.max


def test_players_that_left_waiting_are_marked_as_their_objective_is() -> None:
    waiting = summary(fates={"normal": Counter(matched=8, left_waiting=2)})
    for limit, mark in ((1, "✗"), (2, "✓")):
        console = Console(record=True, width=100)
        show(waiting, judge(waiting, Limits(max_left_waiting=limit)), SwarmOptions(), console)
        text = console.export_text()
        assert f"2 {mark}" in text
        assert f"{mark} left waiting: 2" in text


def test_a_right_run_meets_the_usual_objectives() -> None:
    assert missed(Limits(max_p99_ms=4, max_p99_start_loading_ms=4)) == []
    assert passed(summary(), judge(summary(), Limits()))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"violations": [Violation("a", "text")]}, "max_violations"),
        ({"fates": {"normal": Counter(lost=1)}}, "max_lost"),
        ({"unexpected": [("a", "normal", "refused:queue_paused")]}, "max_unexpected"),
        ({"places_lost": 1}, "max_places_lost"),
        ({"fates": {"normal": Counter(left_waiting=2)}}, "max_left_waiting"),
        ({"fates": {"normal": Counter(left_waiting=2)}, "match_size": None}, "max_left_waiting"),
    ],
)
def test_each_fault_misses_its_objective(fields: dict[str, Any], name: str) -> None:
    assert missed(Limits(), **fields) == [name]


def test_limits_can_be_raised() -> None:
    limits = Limits(max_lost=1, max_unexpected=1, max_places_lost=1, max_left_waiting=2)
    fates = {"normal": Counter(lost=1, left_waiting=2)}
    assert missed(limits, fates=fates, places_lost=1, unexpected=[("a", "normal", "lost")]) == []


def test_fewer_than_a_match_may_be_left_waiting() -> None:
    assert missed(Limits(), fates={"normal": Counter(left_waiting=9)}, match_size=10) == []


def test_times_are_held_against_their_limits() -> None:
    assert missed(Limits(max_p99_ms=3.9)) == ["max_p99_ms"]
    assert missed(Limits(max_p99_start_loading_ms=3.9)) == ["max_p99_start_loading_ms"]


def test_what_was_not_measured_is_not_met() -> None:
    assert not Objective("max_p99_ms", 1000, None).met
    nothing = {"queued": None, "start_loading": None, "match_found": None}
    assert missed(Limits(max_p99_ms=1000), latency_ms={"all": nothing, "normal": nothing}) == ["max_p99_ms"]


def test_an_interrupted_run_has_not_passed() -> None:
    assert not passed(summary(interrupted=True), [])


def test_the_document_holds_the_run_and_no_secret() -> None:
    options = SwarmOptions(seed=7, player_key="secret")
    run = summary(violations=[Violation("a", "text")], unexpected=[("b", "normal", "lost")], errors=Counter(too_late=1))
    text = to_json(run, judge(run, Limits(max_p99_ms=10)), options)
    document = json.loads(text)
    assert "secret" not in text
    assert (document["version"], document["passed"], document["interrupted"]) == (1, False, False)
    assert document["settings"]["seed"] == 7
    assert document["settings"]["loading"] == "0.2"
    assert document["behaviours"]["never-loads"] == {
        "players": 2,
        "expected": ["dequeued:loading_timeout"],
        "fates": {"dequeued:loading_timeout": 2},
    }
    assert document["latency_ms"]["normal"]["match_found"] == {
        "count": 8, "p50": 1, "p90": 2, "p95": 3, "p99": 4, "max": 5,
    }  # fmt: skip
    assert document["errors"] == {"too_late": 1}
    assert document["violations"] == [{"player_id": "a", "text": "text"}]
    assert document["unexpected"] == [{"player_id": "b", "behaviour": "normal", "fate": "lost"}]
    assert document["objectives"][0] == {"name": "max_violations", "limit": 0, "actual": 1, "met": False}
    assert document["objectives"][-1] == {"name": "max_p99_ms", "limit": 10, "actual": 4, "met": True}


def shown(run: Summary) -> str:
    console = Console(width=100, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        show(run, judge(run, Limits()), SwarmOptions(seed=7), console)
    return captured.get()


def test_the_table_marks_what_should_be_and_what_should_not() -> None:
    text = shown(summary(fates={"normal": Counter(matched=8, lost=1), "drops-link": Counter(matched=1)}))
    assert "8 ✓" in text
    assert "1 ✗" in text
    assert "seed 7" in text
    assert "✗ lost: 1 (at most 0)" in text


def test_a_long_list_is_cut_and_says_so() -> None:
    text = shown(summary(violations=[Violation(f"p{number}", "[bold]text") for number in range(LINES_SHOWN + 3)]))
    assert "violation: p0: [bold]text" in text  # what comes from the service is no markup
    assert "and 3 more" in text


def test_nothing_measured_is_shown_as_such() -> None:
    nothing = {"queued": None, "start_loading": None, "match_found": None}
    run = summary(latency_ms={"all": nothing, "normal": nothing}, interrupted=True, errors=Counter(too_late=2))
    assert "not measured" not in shown(run)
    text = shown(run)
    assert "interrupted" in text
    assert "✓ violations" not in text, "who stopped it half-way has not shown that an objective is met"
    assert "errors: too_late 2" in shown(run)


def test_rooms_are_a_table() -> None:
    lag = {"count": 1024.0, "p50": 1.0, "p99": 7.25, "max": 16.0}
    rooms = RoomsReport(
        players=20,
        moves=1000,
        update_latency_ms=lag,
        tick_lag_ms=None,
        bytes_per_second=1878.5,
        rejections={"stale": 3},
    )
    text = " ".join(shown(summary(rooms=rooms)).split())
    assert "update latency │ 1,024 │ 1.0 │ 7.2 │ 16.0 │" in text
    assert "tick lag │ 0 │" in text
    assert "20 players, 1,000 moves, 1,878 bytes per second to each; rejected: stale 3" in text
