"""Many registered servers: a match must not cost more for them."""

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.burst import Burst, once, warm_up
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures, ratios
from benchmarks.load.results import Result
from benchmarks.load.stack import Stack

# Against many servers most calls create one session, so against the one they do, too.
_BURST = Burst(count=2_000, batch=False)
_SLOTS = 4_000  # in all, however many servers share them
_REPEATS = 3


def case(servers: int) -> Case:
    """A case of so many servers, each repetition beside one with a single server."""

    def run(this: Case, bench: Bench) -> Result:
        rows = [_beside_one(bench.layout, servers) for _ in range(bench.repeats(_REPEATS))]
        return Result.of(this.name, this.about, rows)

    about = f"{servers:,} registered servers, one HTTP call per session; {_BURST.count:,} players at once"
    return Case(f"servers-{servers}", about, run)


def _beside_one(layout: Layout, servers: int) -> Figures:
    one, many = measure(layout, 1, _BURST), measure(layout, servers, _BURST)
    return many | {f"{name}_to_one_server": ratio for name, ratio in ratios(many, one).items() if "cpu" in name}


def measure(layout: Layout, servers: int, burst: Burst) -> Figures:
    """What a burst costs with so many servers."""
    with Stack(layout) as stack:
        fleet = stack.start_fleet()
        fleet.ask("register", count=servers, capacity=max(1, _SLOTS // servers))
        warm_up(stack)
        fleet.ask("beat")  # their leases outlast the burst: what is timed has no heartbeats in it
        return once(stack, burst)
