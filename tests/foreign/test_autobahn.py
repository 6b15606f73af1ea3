"""Autobahn's test suite, against an echo on the WebSocket protocol of players.

It needs Python 2.7: `wstest` of the package `autobahntestsuite` has to be on PATH. Left out are 9 (speed), and 12 and
13 (compression, which a node does not accept).
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shared.node import Process

WSTEST = shutil.which("wstest")
SUITE_SECONDS = 600
# `NON-STRICT`: invalid UTF-8 is refused at the end of its message, not at its first wrong byte.
ALLOWED = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.mark.timeout(SUITE_SECONDS + 60)
@pytest.mark.skipif(WSTEST is None, reason="no wstest here")
def test_no_case_fails(tmp_path: Path) -> None:
    with Process(tmp_path, "tests.foreign.echo", variables={"PYTHONPATH": str(Path(__file__).parents[2])}) as echo:
        port = echo.wait_for_output(r"^(\d+)$")[1]
        spec = {
            "outdir": "reports",
            "servers": [{"agent": "echo", "url": f"ws://127.0.0.1:{port}"}],
            "cases": ["*"],
            "exclude-cases": ["9.*", "12.*", "13.*"],
            "exclude-agent-cases": {},
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        subprocess.run(
            [str(WSTEST), "-m", "fuzzingclient", "-s", "spec.json"], cwd=tmp_path, check=True, timeout=SUITE_SECONDS
        )
        assert echo.log == ""
    results = json.loads((tmp_path / "reports" / "index.json").read_text())["echo"]
    assert len(results) > 240
    behaviours = {case: (result["behavior"], result["behaviorClose"]) for case, result in results.items()}
    assert {case: both for case, both in behaviours.items() if not set(both) <= ALLOWED} == {}
