"""Open-loop schedules."""

import itertools
import statistics

import pytest

from benchmarks.load.schedule import even_arrivals, poisson_arrivals


def test_poisson_arrivals_fill_whole_matches_in_time() -> None:
    times = poisson_arrivals(matches_per_second=50, seconds=4, players=3, seed=1)
    assert len(times) == 600
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] == pytest.approx(4)


def test_poisson_arrivals_have_gaps_as_uneven_as_an_exponential_distribution() -> None:
    times = poisson_arrivals(matches_per_second=1000, seconds=10, players=2, seed=2)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)


def test_the_seed_decides() -> None:
    def arrivals(seed: int) -> list[float]:
        return poisson_arrivals(matches_per_second=10, seconds=1, players=2, seed=seed)

    assert arrivals(1) == arrivals(1)
    assert arrivals(1) != arrivals(2)


def test_no_match_is_no_schedule() -> None:
    with pytest.raises(ValueError, match="no match"):
        poisson_arrivals(matches_per_second=0.1, seconds=1, players=2, seed=1)


def test_even_arrivals() -> None:
    assert even_arrivals(per_second=4, count=3) == [0, 0.25, 0.5]
