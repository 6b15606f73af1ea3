"""A stop by SIGTERM or Ctrl-C, at every moment: quietly, with status 0, and nothing is left behind."""

import signal
from pathlib import Path

import pytest

from tests.shared.node import Node, Process, eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_by_signal_ends_with_status_0(
    tmp_path: Path, redis_url: str, prefix: str, number: signal.Signals
) -> None:
    with Node(tmp_path, redis_url, prefix) as node:
        assert node.stop(number) == 0
        assert "Traceback" not in node.log


def test_a_stop_with_two_listeners_logs_no_error(tmp_path: Path, redis_url: str, prefix: str) -> None:
    with Node(tmp_path, redis_url, prefix, admin_port=0) as node:
        assert node.http.get("/readyz").is_success  # a connection that is kept
        assert node.stop() == 0
        assert "error" not in node.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("program", ["match_server", "dedicated_server_stub", "test_client"])
def test_a_stop_while_python_still_imports_the_command_ends_it_quietly(
    tmp_path: Path, program: str, number: signal.Signals
) -> None:
    """It takes half a second; a module of that time, held back here, is the moment."""
    held = tmp_path / "held"
    script = f"""
import pathlib, sys, time

class Hold:
    def find_spec(self, name, *_):
        if name == "{program}.cli":
            pathlib.Path({str(held)!r}).touch()
            time.sleep(30)

sys.meta_path.insert(0, Hold())
import runpy
runpy.run_module("{program}", run_name="__main__")
"""
    (tmp_path / "held_back.py").write_text(script)
    with Process(tmp_path, "held_back") as process:
        eventually(held.exists)
        assert process.stop(number) == 0
        assert process.output + process.log == ""


def test_a_stop_that_meets_a_finalizer_while_python_imports_is_not_swallowed(tmp_path: Path) -> None:
    """Python prints an exception that leaves a finalizer, and goes on."""
    (tmp_path / "stopped_within.py").write_text("""
import os, signal, sys, time

class Stops:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

class Finds:
    def find_spec(self, name, *_):
        if name == "test_client.cli":
            Stops()

sys.meta_path.insert(0, Finds())
from match_server.entry import test_client
test_client()
""")
    with Process(tmp_path, "stopped_within") as process:
        assert (process.wait(), process.output, process.log) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["", "--workers 2", "dev --port 0"])
def test_a_stop_during_the_start_leaves_nothing_behind(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, command: str, number: signal.Signals
) -> None:
    temporary = tmp_path_factory.mktemp("tmp")  # not in the test's own: a socket's path has to be short
    variables = {"TMPDIR": str(temporary)}
    with Process(tmp_path, "match_server", *command.split(), variables=variables, port=0) as process:
        eventually(lambda: list(temporary.glob("match-server-*")))  # the embedded Redis is about to start
        assert process.stop(number) == 0, process.log
        assert process.output == "", "it says of nothing that it is ready"
        assert "Traceback" not in process.log
        assert list(temporary.iterdir()) == []
