"""How a seed ended."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """`violations` is empty where all went well; `digest` is the same for the same run."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    steps: int
    simulated_seconds: float
    matches: int
    trace: tuple[str, ...] = ()  # when something was violated, or asked for

    @classmethod
    def read(cls, line: str) -> "Outcome":
        """Read what a worker wrote."""
        fields = json.loads(line)
        return cls(**{**fields, "violations": tuple(fields["violations"]), "trace": tuple(fields["trace"])})
