"""The knee: how many matches a second may arrive, at a steady pace, before players have to wait."""

import math
import time

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.burst import warm_up
from benchmarks.load.cases.paced import latencies
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures, cpu_per_match
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.results import Result
from benchmarks.load.schedule import poisson_arrivals
from benchmarks.load.stack import Stack

P99_LIMIT_MS = 100.0
_SECONDS, _SEARCH_SECONDS = 30.0, 8.0
_CONNECTIONS = 4_000  # players enqueue anew, in turn, on the connections that there are
_SESSION_SECONDS = 2.0
_SPARE_SLOTS = 1000
_FIRST_RATE, _COARSE, _FINE = 100.0, 1.5, 1.1
_SEED = 30
_GRACE_SECONDS = 10.0


def case() -> Case:
    """The case `knee`."""

    def run(this: Case, bench: Bench) -> Result:
        rate = _search(bench.layout)
        while True:
            figures = measure(bench.layout, rate, _SECONDS)
            if holds(figures):
                return Result.of(this.name, this.about, [{"knee_matches_per_second": rate, **figures}])
            rate = _next_below(rate, _FINE)

    about = f"the highest rate of Poisson arrivals at which p99 to match_found is below {P99_LIMIT_MS:g} ms for 30 s"
    return Case("knee", about, run)


def measure(layout: Layout, rate: float, seconds: float) -> Figures:
    """Latencies and CPU at one rate, on a stack of its own; sessions end after two seconds."""
    at = poisson_arrivals(matches_per_second=rate, seconds=seconds, players=2, seed=_SEED)
    with Stack(layout) as stack:
        stack.start_server(capacity=math.ceil(rate * _SESSION_SECONDS) + _SPARE_SLOTS, session_seconds=_SESSION_SECONDS)
        warm_up(stack)
        stack.generator.connect(stack.addresses, _CONNECTIONS, stack.game_mode)
        time.sleep(_SESSION_SECONDS + 1)  # the warm-up's sessions end
        before = stack.spent()
        left = stack.generator.run(_CONNECTIONS, "match_found", deadline_seconds=seconds + _GRACE_SECONDS, at=at)
        used = stack.spent().since(before)
        journeys = stack.generator.journeys()
    return {"players_behind": left, **latencies(journeys), **cpu_per_match(used, (len(at) - left) / 2)}


def holds(figures: Figures) -> bool:
    """Whether everybody was matched in time at that rate."""
    return figures["players_behind"] == 0 and figures["match_found_p99_ms"] < P99_LIMIT_MS


def _search(layout: Layout) -> float:
    """The highest rate of a ladder that holds for some seconds: in coarse steps first, then in fine ones."""
    rate = _FIRST_RATE
    while not holds(measure(layout, rate, _SEARCH_SECONDS)):
        rate = _next_below(rate, _COARSE)
    for step in (_COARSE, _FINE):
        while holds(measure(layout, rate * step, _SEARCH_SECONDS)):
            rate *= step
    return rate


def _next_below(rate: float, step: float) -> float:
    if rate < 1:
        raise BenchmarkError("no rate holds")
    return rate / step
