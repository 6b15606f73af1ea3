"""The command, and the smallest case on real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.load.cases import fleet, knee, queued, reconnect
from benchmarks.load.cases.burst import Burst, measure
from benchmarks.load.cases.catalogue import CASES
from benchmarks.load.cores import here
from benchmarks.load.measure import family

_ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=50, check=False)


def test_list_names_every_case() -> None:
    listed = [line.split()[0] for line in _run("--list").stdout.splitlines()]
    assert listed == [case.name for case in CASES]
    assert len(set(listed)) == len(listed)


def test_an_unknown_case_is_one_line() -> None:
    done = _run("--only", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_history_is_measured() -> None:
    lines = _run("history", "--events", "10000").stdout.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("10000 events, ")


def test_help_has_examples() -> None:
    assert "python -m benchmarks --quick" in _run("--help").stdout


@pytest.mark.parametrize("variant", ["match-server", "naive"])
def test_the_smallest_burst(variant: str) -> None:
    burst = Burst(count=40) if variant == "match-server" else Burst(count=40).naive()
    (figures,) = measure(here(), burst, 1)
    assert figures["players_left"] == 0
    assert figures["matches_per_second"] > 0
    for part in ("node", "redis", "stub", "load"):
        assert figures[f"{part}_cpu_us_per_match"] > 0


def test_a_burst_may_have_others_before_it() -> None:
    first, second = measure(here(), Burst(count=40, earlier=2), 2)
    assert first["players_left"] == second["players_left"] == 0
    assert first["matches_per_second"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_an_interrupted_run(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "burst-1000"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}  # a killed run cannot remove its folder
    run = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        children = _wait_for_children(run.pid, 4)
        run.send_signal(number)
        run.wait(20)
    finally:
        run.kill()
        run.wait()
    deadline = time.monotonic() + 10
    while (alive := [pid for pid in children if _lives(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive


def _wait_for_children(pid: int, count: int) -> list[int]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = family(pid)[1:]
        if len(children) >= count:
            return children
        time.sleep(0.05)
    raise AssertionError(f"fewer than {count} children started")


def _lives(pid: int) -> bool:
    """A zombie that nobody has waited for does not count."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_the_smallest_of_other_loads() -> None:
    layout = here()
    assert knee.measure(layout, rate=20, seconds=1)["players_behind"] == 0
    assert queued.measure(layout, waiting=20, seconds=1)["queued_p99_ms"] > 0
    assert fleet.measure(layout, 3, Burst(count=20, batch=False))["players_left"] == 0
    again = reconnect.measure(layout, 20)
    assert again["players_not_resumed"] == again["players_left"] == 0
    assert again["resumed_max_ms"] > 0
