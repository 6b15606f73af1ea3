"""Runs many seeds in several processes."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.simulation.outcome import Outcome
from tests.simulation.worker import Job

_ROOT = Path(__file__).parents[2]
_END_SECONDS = 10.0


class WorkerFailed(Exception):
    """A process of the simulation ended before its work was done; its error output says why."""


def run_seeds(
    first: int,
    count: int,
    *,
    jobs: int = 1,
    traced: bool = False,
    one_failure: bool = False,
    planted: Mapping[str, str] | None = None,
) -> Generator[Outcome, None, None]:
    """Simulate `count` seeds from `first` on, and give each outcome as it comes.

    Args:
        first: the first seed.
        count: how many.
        jobs: processes to share them.
        traced: also give the trace of a seed that went well.
        one_failure: a process may stop at the first seed that fails.
        planted: texts of the Lua scripts to be replaced: bugs that are to be found.

    Raises:
        WorkerFailed: a process ended early.
    """
    jobs = max(1, min(jobs, count))
    outcomes: queue.SimpleQueue[Outcome | int] = queue.SimpleQueue()
    with ExitStack() as stack:
        for index in range(jobs):
            share = len(range(index, count, jobs))
            job = Job(
                first=first + index,
                count=share,
                step=jobs,
                traced=traced,
                one_failure=one_failure,
                planted=dict(planted or {}),
            )
            stack.enter_context(_worker(job, outcomes))
        running = jobs
        while running:
            outcome = outcomes.get()
            if isinstance(outcome, Outcome):
                yield outcome
            elif outcome == 0:
                running -= 1
            else:
                raise WorkerFailed(f"exit status {outcome}")


@contextmanager
def _worker(job: Job, outcomes: "queue.SimpleQueue[Outcome | int]") -> Iterator[None]:
    """A process with this job; what it finds, and at last its exit status, goes into `outcomes`."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.simulation.worker"],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    process.stdin.write(json.dumps(asdict(job)) + "\n")
    process.stdin.close()

    def read() -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                outcomes.put(Outcome.read(line))
        outcomes.put(process.wait())

    reader = threading.Thread(target=read, name="simulation")
    reader.start()
    try:
        yield
    finally:
        process.terminate()
        process.wait(_END_SECONDS)
        reader.join(_END_SECONDS)
