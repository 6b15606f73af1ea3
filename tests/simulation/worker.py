"""A process that runs seeds: a job comes in as one line of JSON, each outcome goes out as one.

A process of its own, since a run that is to be repeated needs the same order of sets of strings (PYTHONHASHSEED=0),
and since it replaces the clock and the chance of everything in it.
"""

import asyncio
import gc
import json
import sys
from dataclasses import asdict, dataclass

from match_server.store.embedded import EmbeddedRedis
from tests.simulation.database import PREFIX
from tests.simulation.scripts import simulated_scripts
from tests.simulation.wire import Wire
from tests.simulation.world import simulate

_SEEDS_PER_COLLECTION = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`count` seeds from `first` on, every `step`th; stop after a seed that fails if `one_failure` is enough."""

    first: int
    count: int
    step: int = 1
    traced: bool = False
    one_failure: bool = False
    planted: dict[str, str] | None = None


def main() -> None:
    """Run the job that comes in."""
    job = Job(**json.loads(sys.stdin.readline()))
    redis = EmbeddedRedis("embedded://")
    asyncio.run(redis.__aenter__())
    try:
        _run(job, redis.url.removeprefix("unix://"))
    finally:
        asyncio.run(redis.__aexit__())


def _run(job: Job, socket_path: str) -> None:
    scripts = simulated_scripts(job.planted)
    wire = Wire(socket_path)
    wire.subscribe(f"{PREFIX}*")
    # Every run leaves cycles behind; looking for them within a run would cost a third of the time.
    gc.disable()
    for index in range(job.count):
        outcome = simulate(job.first + index * job.step, wire, scripts, traced=job.traced)
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()
        if outcome.violations and job.one_failure:
            break
        if index % _SEEDS_PER_COLLECTION == 0:
            gc.collect()
    wire.close()


if __name__ == "__main__":
    main()
