"""Bursts: everybody enqueues in the same moment."""

import time
from dataclasses import dataclass, replace

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures, cpu_per_match, ratios
from benchmarks.load.results import Result
from benchmarks.load.stack import Stack, Variant

_WARM_UP_PLAYERS = (
    120  # connections, scripts and HTTP links that only the first matches pay for; divisible by 2, 10, 60
)
_SETTLE_SECONDS = 0.2
_DEADLINE_SECONDS = 60.0
_REPEATS, _REPEATS_OF_LONG = 5, 3
_REPEATS_OF_NAIVE, _MANY = 3, 3_000  # from so many players on the naive variant takes its time: fewer repetitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What a burst is. `whole`: to match_found, else to start_loading (the rest follows untimed)."""

    count: int
    whole: bool = True
    batch: bool = True  # sessions are created many in one call
    players: int = 2  # of a match
    nodes: int = 1
    workers: int = 1
    append_only: bool = False
    earlier: int = 0  # bursts on the same stack before it, whose players Redis still remembers
    variant: Variant = "match-server"

    def naive(self) -> "Burst":
        """The same burst on the naive variant, which knows neither batches nor other nodes, and remembers nobody."""
        return replace(self, variant="naive", batch=False, nodes=1, workers=1, append_only=False, earlier=0)


def measure(layout: Layout, burst: Burst, repeat: int) -> list[Figures]:
    """Figures of each repetition; with several nodes each stands beside one of one node."""
    several = burst.nodes > 1 or burst.workers > 1
    once = _beside_one_node if several else _on_a_stack_of_its_own
    return [once(layout, burst) for _ in range(repeat)]


def _beside_one_node(layout: Layout, burst: Burst) -> Figures:
    """Both within seconds: in minutes a shared machine's speed changes by more than what is to be compared."""
    one = _on_a_stack_of_its_own(layout, replace(burst, nodes=1, workers=1))
    figures = _on_a_stack_of_its_own(layout, burst)
    over_one = ratios(figures, one).get("total_cpu_us_per_match")
    return figures if over_one is None else figures | {"total_cpu_to_one_node": over_one}


def _on_a_stack_of_its_own(layout: Layout, burst: Burst) -> Figures:
    """Each repetition begins alike: nothing of those before it is left, but for what `earlier` asks for."""
    with Stack(
        layout,
        variant=burst.variant,
        players=burst.players,
        nodes=burst.nodes,
        workers=burst.workers,
        append_only=burst.append_only,
    ) as stack:
        capacity = (burst.earlier + 1) * burst.count // burst.players + _WARM_UP_PLAYERS
        stack.start_server(capacity=capacity, batch=burst.batch)
        warm_up(stack)
        return [once(stack, burst) for _ in range(burst.earlier + 1)][-1]


def case(name: str, about: str, burst: Burst, *, quick: bool = False) -> Case:
    """A case of one kind of burst, beside the naive variant."""

    def run(this: Case, bench: Bench) -> Result:
        repeats = _REPEATS_OF_LONG if burst.earlier else _REPEATS
        rows = bench.once(burst, lambda: measure(bench.layout, burst, bench.repeats(repeats)))
        naive = burst.naive()
        naive_repeats = _REPEATS_OF_NAIVE if burst.count < _MANY else _REPEATS_OF_NAIVE - 1
        reference = bench.once(naive, lambda: measure(bench.layout, naive, bench.repeats(naive_repeats)))
        return Result.of(this.name, this.about, rows, naive=reference)

    return Case(name, about, run, quick)


def warm_up(stack: Stack) -> None:
    """Run a small burst to the end."""
    load = stack.generator
    load.connect(stack.addresses, _WARM_UP_PLAYERS, stack.game_mode)
    load.run(_WARM_UP_PLAYERS, "match_found", deadline_seconds=_DEADLINE_SECONDS)
    load.close()


def once(stack: Stack, burst: Burst) -> Figures:
    """Run a burst on a stack that is there, and is warm."""
    load = stack.generator
    load.connect(stack.addresses, burst.count, stack.game_mode)
    time.sleep(_SETTLE_SECONDS)
    before = stack.spent()
    goal = "match_found" if burst.whole else "start_loading"
    left = load.run(burst.count, goal, load_at_once=burst.whole, deadline_seconds=_DEADLINE_SECONDS)
    time.sleep(_SETTLE_SECONDS / 2)  # what the services still have to do for these matches belongs to them
    used = stack.spent().since(before)
    journeys = load.journeys()
    if not burst.whole:
        load.release(deadline_seconds=_DEADLINE_SECONDS)
    load.close()
    matches = (burst.count - left) / burst.players
    seconds = max((journey.found if burst.whole else journey.started) or 0 for journey in journeys) / 1e6
    return {
        "matches_per_second": matches / seconds if seconds else 0.0,
        "players_left": left,
        **cpu_per_match(used, matches),
    }
