"""The drill of the platform, with short phases."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared.postgres import MISSING, binaries
from tests.shared.programs import missing

pytest.importorskip("confluent_kafka", reason="pip install confluent-kafka")

_ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
def test_short_phases_leave_an_exact_history() -> None:
    if binaries() is None:
        missing(MISSING)
    run = subprocess.run(
        [sys.executable, "-m", "tests.soak.platform", "--rate", "5", "--seconds", "5"],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        timeout=220,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "webhook spoilt" in run.stdout
    assert "wrong" not in run.stderr
