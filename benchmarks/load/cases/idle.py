"""Nobody is there: what nodes cost that only wait, with many game modes and with one."""

import time

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures
from benchmarks.load.results import Result
from benchmarks.load.stack import Stack

_NODES = 2
_SETTLE_SECONDS, _SECONDS = 3.0, 15.0
_REPEATS = 3


def case(modes: int) -> Case:
    """A case of so many modes, each repetition beside one with a single mode."""

    def run(this: Case, bench: Bench) -> Result:
        rows = [_beside_one_mode(bench.layout, modes) for _ in range(bench.repeats(_REPEATS))]
        return Result.of(this.name, this.about, rows)

    return Case(f"modes-{modes}", f"{modes:,} game modes, {_NODES} nodes, no player", run)


def _beside_one_mode(layout: Layout, modes: int) -> Figures:
    one, many = _measure(layout, 1), _measure(layout, modes)
    return many | {
        f"{part}_to_one_mode": many[f"{part}_idle_cpu_percent"] / one[f"{part}_idle_cpu_percent"]
        for part in ("node", "redis", "total")
    }


def _measure(layout: Layout, modes: int) -> Figures:
    with Stack(layout, nodes=_NODES, idle_modes=modes - 1) as stack:
        time.sleep(_SETTLE_SECONDS)
        before, began = stack.spent(), time.monotonic()
        time.sleep(_SECONDS)
        used, seconds = stack.spent().since(before), time.monotonic() - began
    node = sum(spent for name, spent in used.items() if name.startswith("node-"))
    parts = {"node": node, "redis": used["redis"], "total": node + used["redis"]}
    return {f"{part}_idle_cpu_percent": 100 * spent / seconds for part, spent in parts.items()}
