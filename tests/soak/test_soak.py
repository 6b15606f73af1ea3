"""The soak itself, for some seconds; and that nothing outlives it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the soak reads /proc")

_ROOT = Path(__file__).parents[2]
SOAK = (sys.executable, "-m", "tests.soak", "--players", "24")


def children_of(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.add(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_some_seconds_with_faults_are_clean(tmp_path: Path) -> None:
    result = tmp_path / "soak.json"
    run = subprocess.run(
        [*SOAK, "--minutes", "0.12", "--seed", "3", "--json", str(result)],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        timeout=55,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    document = json.loads(result.read_text())
    assert document["clean"]
    assert document["faults"]
    assert document["fates"]["matched"] > 0
    assert document["looks"] > 0
    assert all(row["ok"] for row in document["left_behind"])
    assert "NOT OK" not in run.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_it(tmp_path: Path, number: signal.Signals) -> None:
    with (tmp_path / "err").open("wb") as err:
        soak = subprocess.Popen(
            [*SOAK, "--no-faults"], stdout=err, stderr=err, cwd=_ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}
        )
    try:
        deadline = time.monotonic() + 30
        while len(children := children_of(soak.pid)) < 8:  # Redis, two nodes, three servers, two crowds
            assert soak.poll() is None, (tmp_path / "err").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        soak.send_signal(number)
        status = soak.wait(timeout=20)
    finally:
        soak.kill()
        soak.wait()
    assert status == (-signal.SIGKILL if number is signal.SIGKILL else 130)
    deadline = time.monotonic() + 10
    while any(map(alive, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "Traceback" not in (tmp_path / "err").read_text()
