"""Schemathesis calls each operation of a document with hundreds of good and bad inputs."""

import subprocess
import sys
from pathlib import Path


def schemathesis(url: str, *options: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Hold the answers of what runs at this URL to the document that it publishes there.

    It may not judge whether what fits the schema is taken: a `control_url` must also be in MATCH_SERVER_NETWORKS, and
    a `cursor` one of ours.
    """
    program = str(Path(sys.executable).with_name("schemathesis"))
    usual = ["--max-examples", "10", "--seed", "1", "--checks", "all", "--request-timeout", "5", "--no-color"]
    return subprocess.run(
        [program, "run", url, *usual, "--exclude-checks", "positive_data_acceptance", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
