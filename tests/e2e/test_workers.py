"""`--workers`: nodes behind one port, replaced when they die."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.shared.node import Process, eventually


def workers_of(parent: Process) -> set[int]:
    """The processes that serve the port of `--workers`; its Redis is a child, too."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_child = f"\nPPid:\t{parent.process.pid}\n" in (process / "status").read_text()
            if is_child and b"--listen-fd" in (process / "cmdline").read_bytes():
                found.add(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_workers_are_replaced_and_stop_together_also_while_one_is_being_replaced(tmp_path: Path) -> None:
    with Process(tmp_path, "match_server", "--workers", "2", port=0) as parent:
        parent.wait_for_output("ready on")
        first = workers_of(parent)
        assert len(first) == 2

        os.kill(min(first), signal.SIGKILL)
        eventually(lambda: len(workers_of(parent) - {min(first)}) == 2)
        assert "worker_died" in parent.log
        last = workers_of(parent)
        assert last > first - {min(first)}, "the other one was left alone"

        assert parent.stop() == 0  # the new one has hardly begun
        assert "Traceback" not in parent.log
        assert [pid for pid in last if Path(f"/proc/{pid}").exists()] == []


def sockets_listening_on(port: int) -> int:
    """How many sockets the kernel spreads the connections to this port over."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_a_worker_that_cannot_be_replaced_leaves_the_others_alone(tmp_path: Path) -> None:
    flag = tmp_path / "no-python-starts"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, pathlib\nif pathlib.Path({str(flag)!r}).exists(): os._exit(3)\n"
    )
    variables = {"PYTHONPATH": str(tmp_path)}
    with Process(tmp_path, "match_server", "--workers", "2", port=0, variables=variables) as parent:
        port = int(parent.wait_for_output(r"and http://\S+:(\d+)")[1])
        killed, kept = sorted(workers_of(parent))
        flag.touch()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: parent.log.count("worker_not_started") == 2)
        assert workers_of(parent) == {kept}
        assert sockets_listening_on(port) == 1, "the one that is left takes every connection"

        flag.unlink()
        eventually(lambda: sockets_listening_on(port) == 2)
        assert parent.stop() == 0
        assert "Traceback" not in parent.log
