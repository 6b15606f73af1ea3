"""Percentiles, medians, ratios."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load import figures


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.95, 95), (0.99, 99), (1.0, 100)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert figures.percentile(range(100, 0, -1), share) == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.floats(0, 1))
def test_percentile_is_a_value_that_enough_others_do_not_exceed(values: list[float], share: float) -> None:
    found = figures.percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        figures.percentile([], 0.5)


def test_latencies_are_milliseconds() -> None:
    assert figures.latency_figures("queued", [1000.0, 3000.0]) == {
        "queued_p50_ms": 1.0,
        "queued_p95_ms": 3.0,
        "queued_p99_ms": 3.0,
        "queued_max_ms": 3.0,
    }
    assert figures.latency_figures("queued", []) == {}


def test_medians_and_spreads_over_repetitions() -> None:
    rows = [{"a": 1.0, "b": 5.0}, {"a": 9.0}, {"a": 2.0}]
    assert figures.medians(rows) == {"a": 2.0, "b": 5.0}
    assert figures.spreads(rows) == {"a": (1.0, 9.0), "b": (5.0, 5.0)}


def test_ratios_leave_out_what_cannot_be_divided() -> None:
    assert figures.ratios({"a": 6.0, "b": 1.0, "c": 1.0}, {"a": 3.0, "b": 0.0}) == {"a": 2.0}


def test_cpu_per_match_adds_up_the_service() -> None:
    used = {"node-0": 0.001, "node-1": 0.002, "redis": 0.0005, "stub": 0.0001, "load": 0.01}
    found = figures.cpu_per_match(used, 10)
    assert found["node_cpu_us_per_match"] == pytest.approx(300)
    assert found["total_cpu_us_per_match"] == pytest.approx(360)
    assert found["load_cpu_us_per_match"] == pytest.approx(1000)
    assert figures.cpu_per_match(used, 0) == {}
