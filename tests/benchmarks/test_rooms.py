"""Rooms beside Colyseus: the command, its arithmetic, and the smallest case on real servers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.load.cores import here
from benchmarks.load.processes import BenchmarkError
from benchmarks.rooms.measure import Case, Variant, figures, measure
from benchmarks.rooms.node_packages import install, missing

_ROOT = Path(__file__).parents[2]
_SWITCH = "FOREIGN_CLIENTS"  # as for tests/foreign, which fetch packages, too
_SMALL = Case(name="small", rooms=2, players=3, move_hz=20, seconds=1, warm_up_seconds=0.2)

needs_node = pytest.mark.skipif(
    bool(missing()) or not os.environ.get(_SWITCH), reason=f"fetches packages; needs node and npm, and {_SWITCH}=1"
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "rooms", *arguments]
    return subprocess.run(
        command, cwd=_ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=50, check=False
    )


def test_without_node_one_line_says_so() -> None:
    done = run(PATH="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "skipped: no node and no npm here, and Colyseus needs it\n"


def test_an_unknown_case_is_refused() -> None:
    done = run("--only", "nonsense")
    assert done.returncode == 2
    assert "one-room" in done.stderr


def test_figures_are_per_player() -> None:
    seen = {"seconds": 2.0, "bytes": 24_000, "frames": 240}
    updates = {f"update_{end}_ms": 1.0 for end in ("p50", "p99", "max")}
    found = figures(_SMALL, {"server": 0.24, "load": 0.5}, seen | updates)
    assert found["server_cpu_us_per_player_and_tick"] == pytest.approx(1000)  # 0.24 s over 6 players and 40 ticks
    assert found["bytes_per_player_and_second"] == 2000
    assert found["bytes_per_frame"] == 100
    assert found["frames_per_player_and_second"] == 20
    assert found["server_cpu_percent"] == pytest.approx(12)


@needs_node
@pytest.mark.timeout(360)  # the first run installs Colyseus
@pytest.mark.parametrize("variant", ["protobuf", "json", "colyseus"])
def test_everybody_sees_every_last_move(variant: Variant) -> None:
    found = measure(_SMALL, variant, here(), install())
    assert found["server_cpu_us_per_player_and_tick"] > 0
    assert found["bytes_per_player_and_second"] > 0
    assert 0 < found["update_p50_ms"] <= found["update_p99_ms"] <= found["update_max_ms"]
    assert ("ticks_over_10_ms_late_percent" in found) == (variant != "colyseus")


@needs_node
@pytest.mark.timeout(360)
@pytest.mark.parametrize(("variant", "trouble"), [("protobuf", "rejected"), ("colyseus", "broken|unseen")])
def test_moves_that_are_refused_are_no_figures(variant: Variant, trouble: str) -> None:
    flood = Case(name="flood", rooms=1, players=2, move_hz=400, seconds=1, warm_up_seconds=1)
    with pytest.raises(BenchmarkError, match=trouble):
        measure(flood, variant, here(), install())
