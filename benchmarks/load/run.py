"""Runs cases one after the other, and keeps what came of them."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.load.bench import Bench, Case
from benchmarks.load.machine import machine, versions
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the benchmarks, as it stands in the JSON file."""

    command: str
    started: str  # UTC, ISO 8601
    machine: dict[str, str]
    versions: dict[str, str]
    layout: str
    results: list[Result]
    failed: dict[str, str]  # why, by case

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        row: dict[str, Any] = {
            "command": self.command,
            "started": self.started,
            "machine": self.machine,
            "versions": self.versions,
            "layout": self.layout,
            "cases": [result.to_json() for result in self.results],
            "failed": self.failed,
        }
        path.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Read a JSON file that `write` wrote.

        Raises:
            BenchmarkError: it is not one.
        """
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                results=[Result.from_json(case) for case in row["cases"]],
                **{name: row[name] for name in ("command", "started", "machine", "versions", "layout", "failed")},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(f"{path.name} is not a file of --json: {error!r}") from None


def run_cases(command: str, cases: Sequence[Case], bench: Bench, say: Callable[[str], None]) -> Run:
    """Run cases in order; `say` is told of each as it begins. A case that fails does not end the run."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    results: list[Result] = []
    failed: dict[str, str] = {}
    for index, case in enumerate(cases, 1):
        say(f"[{index}/{len(cases)}] {case.name}: {case.about}")
        began = time.monotonic()
        try:
            result = case.measure(case, bench)
        except BenchmarkError as error:
            failed[case.name] = str(error)
            say(f"{case.name} failed: {error}")
        else:
            results.append(replace(result, seconds=time.monotonic() - began))
    return Run(
        command=command,
        started=started,
        machine=machine(),
        versions=versions(),
        layout=bench.layout.describe(),
        results=results,
        failed=failed,
    )
