"""What must hold: those invariants of docs/reliability.md that show from outside, and what was found against them.

Not looked at here: 14 (a refused request changes no key) has its own tests.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum

_EXAMPLES = 20  # kept of each; the count goes on


class Invariant(Enum):
    """One row of the table: the numbers of the invariants, and what is counted against them."""

    DOUBLE = "1", "players in two sessions, or with two matches for one enqueue"
    SIZE = "2", "matches of a wrong number of distinct players"
    TOLD = "3", "matches of which players, or their server, know different things"
    STRUCTURE = "1 2 4 7", "contradictions in Redis, in an atomic look every half second"
    LOST = "4 6", "players lost: no stated end"
    UNEXPECTED = "6", "players with an end that is not their behaviour's"
    PLACES = "4", "places lost that no outage longer than the grace explains"
    GHOSTS = "5", "players and sessions under way when everybody had gone"
    OVERDUE = "6", "loading sessions that outlived their timeout"
    CAPACITY = "7", "dedicated servers over their capacity, or the registry's count over it"
    REGISTRY = "7 8", "at rest: sessions created - ended, those alive and the registry's count differ, or are not 0"
    SAME_KEY = "8", "idempotency keys with two sessions"
    DEQUEUED = "9", "players in a match after they were told `dequeued`"
    PROTOCOL = "9 10", "other breaches of the protocol, as the players saw it"
    WAITED = "11", "players who left unmatched, beyond those too few for a match"
    FULL = "11", "full matches kept in a queue for over 5 s while there was a slot"
    LINKS = "13", "links broken (1006, 1011, 1013 …) while no node was killed or stopped"
    ENDS = "13", "processes that ended by themselves, or badly after SIGTERM"
    LOGS = "13", "tracebacks and errors in the logs of nodes and dedicated servers"
    LEFT = "12", "memory, descriptors, connections, channels or keys left behind"

    def __init__(self, numbers: str, text: str) -> None:
        self.numbers = numbers
        self.text = text


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be."""

    invariant: Invariant
    example: str


@dataclass(slots=True)
class Findings:
    """What was found, by invariant; the same thing seen again counts once."""

    _found: defaultdict[Invariant, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, finding: Finding) -> bool:
        """Take note; False when it was known."""
        known = self._found[finding.invariant]
        if finding.example in known:
            return False
        known[finding.example] = None
        return True

    def count(self, invariant: Invariant) -> int:
        """How many."""
        return len(self._found.get(invariant, ()))

    def examples(self, invariant: Invariant) -> list[str]:
        """The first of them."""
        return list(self._found.get(invariant, ()))[:_EXAMPLES]

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return not any(self._found.values())
