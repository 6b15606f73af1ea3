"""What every case is given: the cores, how often to repeat, and the naive figures that several cases share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures
from benchmarks.load.results import Result


@dataclass(slots=True)
class Bench:
    """One run of the benchmarks."""

    layout: Layout
    quick: bool
    _measured: dict[Any, list[Figures]] = field(default_factory=dict)

    def repeats(self, full: int, quick: int = 1) -> int:
        """How often to repeat."""
        return quick if self.quick else full

    def once(self, key: Any, measure: Callable[[], list[Figures]]) -> list[Figures]:
        """Measure what several cases compare with only once a run."""
        if key not in self._measured:
            self._measured[key] = measure()
        return self._measured[key]


@dataclass(frozen=True, slots=True)
class Case:
    """A case by name. `quick` says that `--quick` includes it."""

    name: str
    about: str
    measure: Callable[["Case", Bench], Result]
    quick: bool = False
