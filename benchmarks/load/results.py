"""What a case found, and how it is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load.figures import Figures, medians, ratios, spreads


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Figures of one case, medians where it was repeated, beside those of the references in the same run.

    `naive` and `bare` hold the same figures of benchmarks.naive and benchmarks.bare, where the case ran them.
    """

    case: str
    about: str
    repetitions: int
    figures: Figures
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    naive: Figures = field(default_factory=dict)
    bare: Figures = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0  # how long the case took to measure

    @classmethod
    def of(
        cls,
        case: str,
        about: str,
        rows: Sequence[Figures],
        *,
        naive: Sequence[Figures] = (),
        bare: Sequence[Figures] = (),
        notes: Sequence[str] = (),
    ) -> "Result":
        """Summarise repetitions."""
        return cls(
            case=case,
            about=about,
            repetitions=max(len(rows), len(bare)),
            figures=medians(rows),
            spread=spreads(rows) if len(rows) > 1 else {},
            naive=medians(naive),
            bare=medians(bare),
            notes=tuple(notes),
        )

    @property
    def to_naive(self) -> Figures:
        """Each figure over that of the naive variant."""
        return ratios(self.figures, self.naive)

    @property
    def to_bare(self) -> Figures:
        """Each figure over that of the bare endpoint."""
        return ratios(self.figures, self.bare)

    def to_json(self) -> dict[str, Any]:
        """One row of the JSON file."""
        return {
            "case": self.case,
            "about": self.about,
            "repetitions": self.repetitions,
            "seconds": round(self.seconds, 1),
            "figures": self.figures,
            "spread": {name: list(ends) for name, ends in self.spread.items()},
            "naive": self.naive,
            "ratio_to_naive": self.to_naive,
            "bare": self.bare,
            "ratio_to_bare": self.to_bare,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Result":
        """Read a row of the JSON file; the ratios are computed anew."""
        return cls(
            case=row["case"],
            about=row["about"],
            repetitions=row["repetitions"],
            seconds=row["seconds"],
            figures=dict(row["figures"]),
            spread={name: (ends[0], ends[1]) for name, ends in row["spread"].items()},
            naive=dict(row["naive"]),
            bare=dict(row["bare"]),
            notes=tuple(row["notes"]),
        )
