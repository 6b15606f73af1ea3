"""How long tickets like one have waited of late: the estimate that players get."""

from collections import deque
from math import floor
from statistics import median
from typing import NamedTuple

from match_server.matching.modes import GameMode
from match_server.matching.rules import Difference, TeamDifference

LEAST = 5  # matches, to say anything
MOST = 25  # the latest of them count
RECENT_SECONDS = 600.0
MOST_LIKENESSES = 2_000  # remembered; those that nobody has had for longest are forgotten


class Likeness(NamedTuple):
    """What makes tickets alike for this: their mode, their size, and about where they stand."""

    game_mode: str
    size: int
    band: int | None  # of the attribute that the mode compares first, as wide as its window at first


def likeness(mode: GameMode, size: int, attributes: dict[str, object]) -> Likeness:
    """Which tickets are like that of a player with these attributes, in a party of that size."""
    for rule in mode.rules or ():
        if isinstance(rule, Difference | TeamDifference):
            value = attributes.get(rule.attribute)
            if rule.max > 0 and isinstance(value, int | float):
                return Likeness(mode.name, size, floor(value / rule.max))
            break
    return Likeness(mode.name, size, None)


class _Wait(NamedTuple):
    at: float
    seconds: float


class WaitEstimates:
    """The recent waits of one node's players, by what their tickets were like."""

    def __init__(self) -> None:
        self._waits: dict[Likeness, deque[_Wait]] = {}

    def note(self, like: Likeness, waited_seconds: float, now: float) -> None:
        """A player has got its match. `now` is of a clock that only goes forward, in seconds."""
        for known in {like, like._replace(band=None)}:
            waits = self._waits.pop(known, None) or deque(maxlen=MOST)
            waits.append(_Wait(now, waited_seconds))
            self._waits[known] = waits  # last in line to be forgotten
        while len(self._waits) > MOST_LIKENESSES:
            del self._waits[next(iter(self._waits))]

    def of(self, like: Likeness, now: float) -> float | None:
        """The median wait of such tickets, or of all of that size where too few are known; None when unknown."""
        for known in (like, like._replace(band=None)):
            recent = [wait.seconds for wait in self._waits.get(known, ()) if now - wait.at <= RECENT_SECONDS]
            if len(recent) >= LEAST:
                return median(recent)
        return None
