"""What the tests measured, kept for docs/operations.md: written to the file that FAULTS_MEASURES names, if any."""

import os
from pathlib import Path


def note(what: str, value: float, unit: str) -> None:
    """Take note of a figure."""
    line = f"{what}: {value:.2f} {unit}\n"
    print(line, end="")  # noqa: T201 - pytest shows it beside a failure
    if path := os.environ.get("FAULTS_MEASURES"):
        with Path(path).open("a") as file:
            file.write(line)
