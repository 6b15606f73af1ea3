"""Many players in one queue, and no slot for any of them: what waiting costs, and how the queue empties at last."""

import json
import statistics
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.paced import latencies
from benchmarks.load.cases.queued import enqueue
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures, cpu_per_match
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.redis_clock import RedisClock
from benchmarks.load.results import Result
from benchmarks.load.stack import Stack

_CONNECTED = 5_000  # players with a connection of their own; the others are records of a node without sockets
_ENQUEUES_PER_SECOND = 2_000
_PROBES_PER_SECOND, _WATCH_SECONDS = 100, 5.0
_SETTLE_SECONDS = 2.0
_DEADLINE_SECONDS = 60.0
_SLOW_US = 200
_POLL_SECONDS = 0.02
_SPARE_SLOTS = 100


def case(waiting: int, *, quick: bool = False) -> Case:
    """A case of so many waiting players."""

    def run(this: Case, bench: Bench) -> Result:
        figures, notes = measure(bench.layout, waiting)
        return Result.of(this.name, this.about, [figures], notes=notes)

    about = f"{waiting:,} players wait because no slot is free; Redis is emptied meanwhile; then slots are released"
    return Case(f"waiting-{waiting}", about, run, quick)


def measure(layout: Layout, waiting: int) -> tuple[Figures, list[str]]:
    """Figures, and which calls were the longest."""
    with Stack(layout.redis_alone()) as stack:
        clock = RedisClock(stack.redis_socket)
        total, figures = _fill(stack, waiting)
        time.sleep(_SETTLE_SECONDS)
        notes: list[str] = []
        for phase, work in (("waiting", _watch), ("emptied", _empty), ("drain", _drain)):
            with clock.watching(0 if work is _watch else _SLOW_US):
                figures |= work(stack, clock, total)
            longest_ms, name = clock.longest()
            figures[f"{phase}_longest_redis_call_ms"] = longest_ms
            notes.append(f"{phase}: longest Redis call {longest_ms:.2f} ms, in {name}")
            if work is _watch:
                figures |= _ticks(clock)
                total += int(_PROBES_PER_SECOND * _WATCH_SECONDS)
    return figures, notes


def _fill(stack: Stack, waiting: int) -> tuple[int, Figures]:
    """Put players into the queue; returns how many, and what Redis takes for them."""
    probes = int(_PROBES_PER_SECOND * _WATCH_SECONDS)
    connected = min(waiting, _CONNECTED)
    load = stack.generator
    load.connect(stack.addresses, connected + probes, stack.game_mode)
    figures: Figures = {}
    if waiting > connected:
        count = waiting - connected
        figures["seeded_players_per_second"] = count / stack.start_ghosts().ask("seed", count=count)["seconds"]
    enqueue(stack, connected, _ENQUEUES_PER_SECOND)
    return waiting, figures


def _watch(stack: Stack, _clock: RedisClock, _total: int) -> Figures:
    """Nothing happens but ticks, sweeps and some players who come."""
    count = int(_PROBES_PER_SECOND * _WATCH_SECONDS)
    before = stack.spent()
    began = time.monotonic()
    enqueue(stack, count, _PROBES_PER_SECOND)
    used = stack.spent().since(before)
    seconds = time.monotonic() - began
    found = latencies(stack.generator.journeys())
    return {
        "redis_cpu_percent_while_waiting": 100 * used["redis"] / seconds,
        "node_cpu_percent_while_waiting": 100 * used["node-0"] / seconds,
        **{name: value for name, value in found.items() if name.startswith("queued")},
    }


def _ticks(clock: RedisClock) -> Figures:
    durations = clock.durations_us.get("try_match", [])
    if not durations:
        raise BenchmarkError("Redis logged no try_match: no tick was run")
    return {"tick_median_us": statistics.median(durations), "tick_max_us": float(max(durations))}


def _empty(stack: Stack, clock: RedisClock, total: int) -> Figures:
    """Redis loses everything; until all are back."""
    began = time.monotonic()
    # Not ASYNC: a thread of Redis' own would free the players for a tenth of a second, on the core of its main thread.
    clock.redis.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]
    _until(stack, lambda queue: queue["waiting"] >= total, f"not all of {total} players were put back")
    return {"put_back_seconds": time.monotonic() - began}


def _drain(stack: Stack, _clock: RedisClock, total: int) -> Figures:
    """A dedicated server registers with room for all; until the last match is found."""
    stack.start_server(capacity=total // 2 + _SPARE_SLOTS)
    before = stack.spent()
    began = time.monotonic()
    _until(stack, lambda queue: queue["waiting"] < 2, "the queue was not drained")
    formed_seconds = time.monotonic() - began
    over = ("waiting", "loading", "allocating")
    _until(stack, lambda queue: sum(queue[state] for state in over) < 2, "not every match was found")
    seconds = time.monotonic() - began
    left = stack.generator.ask("await_matches", deadline_seconds=5)["left"]
    matches = total // 2
    used = stack.spent().since(before)
    return {
        "drained_matches_formed_per_second": matches / formed_seconds,
        "drained_matches_found_per_second": matches / seconds,
        "connected_players_left": left,
        "drain_redis_cpu_us_per_match": cpu_per_match(used, matches)["redis_cpu_us_per_match"],
    }


def _until(stack: Stack, condition: Callable[[dict[str, Any]], bool], otherwise: str) -> None:
    """Poll the operators' view of the queue.

    Raises:
        BenchmarkError: the condition did not come true in time.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS
    url = f"http://{stack.addresses[0]}/queues/{stack.game_mode}"
    while True:
        with urllib.request.urlopen(url, timeout=10) as answer:
            queue: dict[str, Any] = json.load(answer)
        if condition(queue):
            return
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{otherwise}: {queue}")
        time.sleep(_POLL_SECONDS)
