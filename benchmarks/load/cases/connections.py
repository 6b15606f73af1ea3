"""What a connection costs: memory while it waits, the rate at which it is accepted; and the price of an echo.

Each beside the same connection to a bare Starlette endpoint with the same uvicorn settings.
"""

import time
from collections.abc import Sequence

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures
from benchmarks.load.measure import resident_bytes
from benchmarks.load.results import Result
from benchmarks.load.schedule import even_arrivals
from benchmarks.load.stack import Stack, Variant

_MEMORY_STEPS, _QUICK_MEMORY_STEPS = (1_000, 5_000, 10_000), (1_000,)
_NAIVE_MEMORY_STEPS = (1_000, 5_000)  # with two sockets per player, more of them are more than a process may open here
_WARM_UP = 20
_ENQUEUES_PER_SECOND = 1_000
_QUIET_SECONDS = 2.0
_ACCEPTED, _REPEATS = 2_000, 5
_ECHO_CONNECTIONS, _ECHOES, _QUICK_ECHOES = 100, 200, 100
_DEADLINE_SECONDS = 60.0


def memory_case() -> Case:
    """Memory of idle, enqueued connections."""

    def run(this: Case, bench: Bench) -> Result:
        steps = _QUICK_MEMORY_STEPS if bench.quick else _MEMORY_STEPS
        return Result.of(
            this.name,
            this.about,
            [memory(bench.layout, "match-server", steps)],
            naive=[] if bench.quick else [memory(bench.layout, "naive", _NAIVE_MEMORY_STEPS)],
            bare=[memory(bench.layout, "bare", steps)],
        )

    return Case("memory", "memory per connection, idle and enqueued, in KiB of the node and of Redis", run, quick=True)


def accept_case() -> Case:
    """The rate of accepted connections."""

    def run(this: Case, bench: Bench) -> Result:
        repeat = bench.repeats(_REPEATS)
        return Result.of(
            this.name,
            this.about,
            accept(bench.layout, "match-server", repeat),
            naive=[] if bench.quick else accept(bench.layout, "naive", repeat),
            bare=accept(bench.layout, "bare", repeat),
        )

    return Case("accept", f"{_ACCEPTED:,} connections opened as fast as they are accepted", run, quick=True)


def echo_case() -> Case:
    """The cost of a message to the bare endpoint, which the CPU of a match is compared with."""

    def run(this: Case, bench: Bench) -> Result:
        rows = echo(bench.layout, _QUICK_ECHOES if bench.quick else _ECHOES, bench.repeats(_REPEATS))
        return Result.of(this.name, this.about, (), bare=rows)

    return Case("echo", f"the bare endpoint echoes to {_ECHO_CONNECTIONS} connections", run, quick=True)


def memory(layout: Layout, variant: Variant, steps: Sequence[int]) -> Figures:
    """KiB per connection at each number of connections, over what the processes took before the first."""
    figures: Figures = {}
    goal = "enqueue" if variant == "bare" else "queued"
    with Stack(layout, variant=variant) as stack:  # no dedicated server: nobody is matched
        load = stack.generator
        _wait_in_queue(stack, _WARM_UP, goal)
        load.close()
        time.sleep(_QUIET_SECONDS)
        parts = {"node": "node-0"} | ({} if variant == "bare" else {"redis": "redis"})
        before = {part: resident_bytes(stack.pid(name)) for part, name in parts.items()}
        there = 0
        for step in steps:
            _wait_in_queue(stack, step - there, goal)
            there = step
            time.sleep(_QUIET_SECONDS)
            for part, name in parts.items():
                kib = (resident_bytes(stack.pid(name)) - before[part]) / 1024
                figures[f"{part}_kib_per_connection_at_{step}"] = kib / step
    return figures


def accept(layout: Layout, variant: Variant, repeat: int) -> list[Figures]:
    """Connections a second, from the first connect to the last finished handshake."""
    rows: list[Figures] = []
    with Stack(layout, variant=variant) as stack:
        load = stack.generator
        load.connect(stack.addresses, _WARM_UP, stack.game_mode)
        load.close()
        for _ in range(repeat):
            before = stack.spent()
            seconds = load.connect(stack.addresses, _ACCEPTED, stack.game_mode)
            used = stack.spent().since(before)
            load.close()
            rows.append(
                {
                    "connections_per_second": _ACCEPTED / seconds,
                    "node_cpu_us_per_connection": 1e6 * used["node-0"] / _ACCEPTED,
                    "load_cpu_us_per_connection": 1e6 * used["load"] / _ACCEPTED,
                }
            )
    return rows


def echo(layout: Layout, echoes: int, repeat: int) -> list[Figures]:
    """CPU of the bare endpoint per message that it received and sent back."""
    rows: list[Figures] = []
    with Stack(layout, variant="bare") as stack:
        load = stack.generator
        load.connect(stack.addresses, _ECHO_CONNECTIONS * (repeat + 1), stack.game_mode)
        for index in range(repeat + 1):
            before = stack.spent()
            began = time.monotonic()
            load.run(_ECHO_CONNECTIONS, "enqueue", deadline_seconds=_DEADLINE_SECONDS, echoes=echoes)
            seconds = time.monotonic() - began
            used = stack.spent().since(before)
            messages = _ECHO_CONNECTIONS * echoes
            if index:  # the first one warms up
                rows.append(
                    {
                        "messages_per_second": messages / seconds,
                        "node_cpu_us_per_message": 1e6 * used["node-0"] / messages,
                        "load_cpu_us_per_message": 1e6 * used["load"] / messages,
                    }
                )
    return rows


def _wait_in_queue(stack: Stack, count: int, goal: str) -> None:
    """Connect more players and let them enqueue at an easy pace, so that no burst's buffers are measured."""
    stack.generator.connect(stack.addresses, count, stack.game_mode)
    at = even_arrivals(per_second=_ENQUEUES_PER_SECOND, count=count)
    stack.generator.run(count, goal, deadline_seconds=at[-1] + _DEADLINE_SECONDS, at=at)
