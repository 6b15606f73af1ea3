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


def matches_per_second(usual: float) -> float:
    """The load of a test: what any machine can bear, or FAULTS_RATE where the machine shall show what it can."""
    return float(os.environ.get("FAULTS_RATE", usual))
