"""One pool is flooded while another plays on the same Redis; each has nodes of its own."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.paced import latencies
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures
from benchmarks.load.generator import Generator
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.results import Result
from benchmarks.load.schedule import even_arrivals, poisson_arrivals
from benchmarks.load.stack import Stack

_CALM, _FLOODED = "calm", "flooded"
_RATE, _SECONDS = 50.0, 20.0  # matches of the calm pool
_SESSION_SECONDS = 2.0
_SPARE_SLOTS = 1000
_FLOODS = 2  # nodes, each with a load process: one alone would run out of descriptors
_GRACE_SECONDS = 15.0
_SEED = 40


def case(flood: int) -> Case:
    """A case in which so many players come to the other pool, where they have to wait."""

    def run(this: Case, bench: Bench) -> Result:
        return Result.of(this.name, this.about, [measure(bench.layout, flood)])

    about = (
        f"{_RATE:g} matches a second in one pool, {_SECONDS:g} s each: alone, while {flood:,} players come to another"
        " pool, and while they wait there"
    )
    return Case(f"pools-{flood}", about, run)


def measure(layout: Layout, flood: int) -> Figures:
    """Latencies of the calm pool in three phases, and those of the two others over the first."""
    beside = _beside(layout)
    with Stack(beside, nodes=1 + _FLOODS, pools=(_CALM, *[_FLOODED] * _FLOODS)) as stack:
        capacity = math.ceil(_RATE * _SESSION_SECONDS) + _SPARE_SLOTS
        stack.start_server(capacity=capacity, session_seconds=_SESSION_SECONDS, pool=_CALM)
        floods = [stack.start_generator(f"flood-{number}", cores=beside.nodes[1]) for number in range(_FLOODS)]
        _calm(stack)  # warms up
        alone = _calm(stack)
        for generator, address in zip(floods, stack.addresses[1:], strict=True):
            generator.connect([address], flood // _FLOODS, stack.game_mode, path=f"/ws/?pool={_FLOODED}")
        time.sleep(_SESSION_SECONDS)
        with _coming(floods, flood):
            coming = _calm(stack)
        waiting = _calm(stack)
    ratios = {
        f"{phase}_{name}_to_alone": figures[name] / alone[name]
        for phase, figures in (("coming", coming), ("waiting", waiting))
        for name in ("match_found_p50_ms", "match_found_p99_ms")
    }
    phases = {"alone": alone, "coming": coming, "waiting": waiting}
    named = {f"{phase}_{name}": value for phase, figures in phases.items() for name, value in figures.items()}
    return {**named, **ratios}


def _beside(layout: Layout) -> Layout:
    """The calm pool's node and load with Redis on one core, all of the flood on another: they share Redis alone."""
    ours, theirs = layout.nodes
    return Layout(nodes=(ours, *[theirs] * _FLOODS), redis=ours, stub=ours, load=ours)


def _calm(stack: Stack) -> Figures:
    """Matches in the calm pool for a while, on connections of their own."""
    at = poisson_arrivals(matches_per_second=_RATE, seconds=_SECONDS, players=2, seed=_SEED)
    load = stack.generator
    load.connect(stack.addresses[:1], len(at), stack.game_mode, path=f"/ws/?pool={_CALM}")
    if left := load.run(len(at), "match_found", deadline_seconds=_SECONDS + _GRACE_SECONDS, at=at):
        raise BenchmarkError(f"{left} players of the calm pool got no match")
    found = latencies(load.journeys())
    load.close()
    return {name: value for name, value in found.items() if name.startswith("match_found")}


@contextmanager
def _coming(floods: Sequence[Generator], flood: int) -> Iterator[None]:
    """Meanwhile the others enqueue, at an even pace for as long as the calm pool is measured; then all are queued."""
    each = flood // len(floods)
    patience = _SECONDS + _GRACE_SECONDS
    for generator in floods:
        at = even_arrivals(per_second=each / _SECONDS, count=each)
        generator.tell("run", count=each, goal="queued", load_at_once=True, deadline_seconds=patience, at=at)
    yield
    for generator in floods:
        if left := generator.answer(2 * patience)["left"]:
            raise BenchmarkError(f"{left} players of the flooded pool were not queued")
