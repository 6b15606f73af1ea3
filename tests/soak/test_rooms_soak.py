"""The soak of rooms itself, for some seconds; and what it does not pass over."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.rest import counted
from tests.soak.rooms import Outcome, Waves

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the soak reads /proc")


def test_some_seconds_are_clean() -> None:
    options = ("--minutes", "0", "--rooms", "2", "--play-seconds", "3", "--seed", "1")
    run = subprocess.run(
        [sys.executable, "-m", "tests.soak.rooms", *options],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 waves, 2 rooms, 16 players" in run.stdout
    assert run.stdout.endswith("\nclean\n")


def played(*, passed: bool) -> Waves:
    waves = Waves()
    report = {
        "passed": passed,
        "matches": 1,
        "rooms": {"players": 8, "moves": 100, "rejections": {"too_fast": 1}},
        "violations": [] if passed else [{"player_id": "ann", "text": "saw eve"}],
        "unexpected": [],
        "objectives": [],
    }
    waves.add("json-0", report)
    return waves


def test_what_is_not_clean() -> None:
    good, bad = played(passed=True), played(passed=False)
    same, one_more = counted("tasks", 6, 6, 0), counted("tasks", 6, 7, 0)
    assert Outcome(1.0, good, [same], []).clean
    assert "saw eve" in bad.failed[0]
    assert not Outcome(1.0, bad, [same], []).clean
    assert not Outcome(1.0, good, [one_more], []).clean
    assert not Outcome(1.0, good, [same], ["server.log: Traceback"]).clean
