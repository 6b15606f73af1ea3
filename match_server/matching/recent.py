"""What the proposals of one mode came to of late: differences of matches, and counts of the last minute."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from match_server.matching.limits import Floats
from match_server.matching.modes import GameMode
from match_server.matching.rules import Difference, TeamDifference
from match_server.matching.tickets import Proposal

MATCHES = 1_000
WINDOW_SECONDS = 60


class PerMinute:
    """Counts what happened in the last minute, to the second."""

    def __init__(self) -> None:
        self._counts: deque[tuple[int, int]] = deque()  # seconds in which something happened, and how often

    def add(self, count: int, now: float) -> None:
        """It happened `count` times. `now`: seconds, of a clock that only goes forward."""
        self.count(now)
        if count:
            self._counts.append((int(now), count))

    def count(self, now: float) -> int:
        """How often it happened in the last minute."""
        while self._counts and self._counts[0][0] <= now - WINDOW_SECONDS:
            self._counts.popleft()
        return sum(count for _, count in self._counts)


class Recent:
    """The last matches of one mode."""

    def __init__(self, mode: GameMode) -> None:
        rules = mode.rules or ()
        self._compares = any(isinstance(rule, Difference) for rule in rules)
        self._compares_teams = any(isinstance(rule, TeamDifference) for rule in rules)
        self._matches: deque[tuple[float, float]] = deque(maxlen=MATCHES)
        self.proposals = PerMinute()
        self.conflicts = PerMinute()

    def formed(self, proposal: Proposal) -> None:
        """A proposal has become a match."""
        self._matches.append((proposal.difference, proposal.team_difference))

    def differences(self) -> Mapping[str, object]:
        """How many matches are known, and the percentiles of what the mode's rules compare in them."""
        found = np.array(self._matches).reshape(-1, 2)
        return {
            "matches": len(found),
            "difference": percentiles(found[:, 0]) if self._compares else None,
            "team_difference": percentiles(found[:, 1]) if self._compares_teams else None,
        }


def percentiles(values: Floats | Sequence[float]) -> Mapping[str, float] | None:
    """The p50, p90 and p99; None of nothing. An endless value stays out of it."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return None
    p50, p90, p99 = np.percentile(finite, (50, 90, 99))
    return {"p50": float(p50), "p90": float(p90), "p99": float(p99)}
