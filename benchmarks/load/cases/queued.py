"""Many connected players wait for long: those who come meanwhile must not feel it, and no wave may pass."""

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.paced import latencies
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.results import Result
from benchmarks.load.schedule import even_arrivals
from benchmarks.load.stack import Stack

_ENQUEUES_PER_SECOND = 2_000
_PROBES_PER_SECOND, _SECONDS, _QUICK_SECONDS = 40, 60, 15
_DEADLINE_SECONDS = 30.0


def case(waiting: int) -> Case:
    """A case of so many waiting players."""

    def run(this: Case, bench: Bench) -> Result:
        return Result.of(
            this.name, this.about, [measure(bench.layout, waiting, bench.repeats(_SECONDS, _QUICK_SECONDS))]
        )

    about = f"{waiting:,} connected players wait for {_SECONDS} s; others enqueue, {_PROBES_PER_SECOND} a second"
    return Case(f"queued-{waiting}", about, run)


def measure(layout: Layout, waiting: int, seconds: int) -> Figures:
    """What those who come meanwhile wait for `queued`, and what both cost."""
    probes = _PROBES_PER_SECOND * seconds
    with Stack(layout) as stack:
        stack.generator.connect(stack.addresses, waiting + probes, stack.game_mode)
        enqueue(stack, waiting, _ENQUEUES_PER_SECOND)
        before = stack.spent()
        enqueue(stack, probes, _PROBES_PER_SECOND)
        used = stack.spent().since(before)
        found = latencies(stack.generator.journeys())
    return {
        "node_cpu_percent_while_queued": 100 * used["node-0"] / seconds,
        "redis_cpu_percent_while_queued": 100 * used["redis"] / seconds,
        **{name: value for name, value in found.items() if name.startswith("queued")},
    }


def enqueue(stack: Stack, count: int, per_second: float) -> None:
    """Have players enqueue at an even pace, until all are queued.

    Raises:
        BenchmarkError: some were not queued.
    """
    deadline = count / per_second + _DEADLINE_SECONDS
    at = even_arrivals(per_second=per_second, count=count)
    if left := stack.generator.run(count, "queued", deadline_seconds=deadline, at=at):
        raise BenchmarkError(f"{left} players were not queued")
