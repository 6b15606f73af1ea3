"""Paced arrivals, open loop: players come when the schedule says, however slowly earlier ones are served."""

import time
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.burst import warm_up
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures, cpu_per_match, latency_figures, percentile
from benchmarks.load.generator import Journey
from benchmarks.load.results import Result
from benchmarks.load.schedule import poisson_arrivals
from benchmarks.load.stack import Stack, Variant

_SECONDS, _QUICK_SECONDS = 10.0, 4.0
_GRACE_SECONDS = 45.0  # for what is late
_SESSION_SECONDS = 2.0  # so that the ends of sessions are reported meanwhile, as in a service that has run for a while
_SPARE_SLOTS = 1000
_SEED = 20


def case(rate: float, *, quick: bool = False) -> Case:
    """A case of `rate` matches a second."""

    def run(this: Case, bench: Bench) -> Result:
        seconds = _QUICK_SECONDS if bench.quick else _SECONDS
        row = measure(bench.layout, rate, seconds, "match-server")
        naive = measure(bench.layout, rate, seconds, "naive")
        return Result.of(this.name, this.about, [row], naive=[naive])

    about = f"{rate:g} matches a second arrive as a Poisson process, for {_SECONDS:g} s; sessions end after 2 s"
    return Case(f"paced-{rate:g}", about, run, quick)


def measure(layout: Layout, rate: float, seconds: float, variant: Variant) -> Figures:
    """Latencies and CPU of one run."""
    at = poisson_arrivals(matches_per_second=rate, seconds=seconds, players=2, seed=_SEED)
    with Stack(layout, variant=variant) as stack:
        capacity = int(rate * seconds) + _SPARE_SLOTS
        batch = variant == "match-server"
        stack.start_server(capacity=capacity, batch=batch, session_seconds=_SESSION_SECONDS)
        warm_up(stack)
        load = stack.generator
        load.connect(stack.addresses, len(at), stack.game_mode)
        time.sleep(_SESSION_SECONDS + 1)  # the warm-up's sessions end
        before = stack.spent()
        left = load.run(len(at), "match_found", deadline_seconds=seconds + _GRACE_SECONDS, at=at)
        used = stack.spent().since(before)
        journeys = load.journeys()
    matches = (len(at) - left) / 2
    return {"players_left": left, **latencies(journeys), **cpu_per_match(used, matches)}


def latencies(journeys: Sequence[Journey]) -> Figures:
    """Percentiles, in ms, from the scheduled moments.

    `queued`: each player's own. `start_loading` and `match_found`: from the moment in which the last of a match's
    players was due to enqueue, to the moment in which the last of them was told. `load_lag`: how late the load
    generator itself sent; it is part of all of them.
    """
    matches: dict[str, list[Journey]] = defaultdict(list)
    for journey in journeys:
        if journey.session:
            matches[journey.session].append(journey)
    started: list[float] = []
    found: list[float] = []
    for members in matches.values():
        filled = max(member.due for member in members)
        starts = [member.started for member in members if member.started is not None]
        finds = [member.found for member in members if member.found is not None]
        if len(starts) == len(members):
            started.append(max(starts) - filled)
        if len(finds) == len(members):
            found.append(max(finds) - filled)
    queued = [journey.queued - journey.due for journey in journeys if journey.queued is not None]
    return {
        **latency_figures("queued", queued),
        **latency_figures("start_loading", started),
        **latency_figures("match_found", found),
        "load_lag_p99_ms": percentile([journey.sent - journey.due for journey in journeys], 0.99) / 1000,
    }
