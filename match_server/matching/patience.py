"""`second_is_worth`: whether an allowed match is good enough to take now, or a better one is worth waiting for."""

from typing import NamedTuple

import numpy as np

from match_server.matching.crowd import MAX_ARRIVALS, Crowd
from match_server.matching.entries import Entry
from match_server.matching.limits import Floats
from match_server.matching.modes import GameMode
from match_server.matching.rules import Difference, TeamDifference

ACCEPTED = 1.1  # times the square root: the best of a series of simulated hours
MOST_AT_ONCE = 40  # matches
AGE_SHARE = 0.05  # of the price of the waiting so far: small, for what is spent is spent, but nobody waits for ever


class Gathering(NamedTuple):
    """How many players to gather, how long that takes, and how wide a match of such a crowd is, in points."""

    players: int
    seconds: float
    width: float


class Patience:
    """What difference is acceptable now in one mode.

    The value of a match is its difference and team difference in the priced attribute, by the rules' weights. Taking
    less than a whole match's waiting would save is not worth it: for two players the acceptable value is
    sqrt(λ w/rho), for n players n/2 times as much, plus a share of the price of all their waiting so far.
    """

    def __init__(self, mode: GameMode) -> None:
        """`mode` sets `second_is_worth`."""
        ((attribute, price),) = mode.second_is_worth.items()
        self.price = price  # λ: points for one second of one player
        self._players = mode.players
        self._crowd = Crowd()
        self._counted: dict[str, None] = {}  # tickets that came last, in order
        rules = [(number, rule) for number, rule in enumerate(mode.rules or ()) if _compares(rule, attribute)]
        self.weights = {number: rule.weight for number, rule in rules if isinstance(rule, Difference | TeamDifference)}
        self._weight = sum(self.weights.values()) or 1.0

    def arrived(self, entry: Entry) -> None:
        """A ticket came. One that comes again, after a lost link or a match that was not formed, counts once."""
        if entry.ticket.ticket_id in self._counted:
            return
        self._counted[entry.ticket.ticket_id] = None
        if len(self._counted) > MAX_ARRIVALS:
            del self._counted[next(iter(self._counted))]
        self._crowd.arrived(entry.enqueued_at, entry.value, entry.size)

    def acceptable(self, values: Floats, now: float) -> Floats | None:
        """For a match near each of these places, the value accepted before any waiting; None: take what is allowed."""
        densities = self._crowd.densities(values, now)
        if densities is None:
            return None
        return ACCEPTED * self._players / 2 * np.sqrt(self.price * self._weight / densities)

    def gathering(self, now: float) -> Gathering | None:
        """How many players are worth gathering for several matches at once; None: none, take what is allowed.

        With m matches of n players at once, the difference in each is about the width of the crowd by m, and a player
        waits half the time in which m·n arrive: the m is taken for which both together cost least.
        """
        found = self._crowd.spread(now)
        if found is None:
            return None
        n = self._players
        costs = {
            matches: self._weight * found.width(matches * n) / matches
            + self.price * n * matches * n / (2 * found.players_per_second)
            for matches in range(1, MOST_AT_ONCE + 1)
        }
        best = min(costs, key=lambda matches: costs[matches])
        return Gathering(best * n, best * n / found.players_per_second, found.width(best * n) / best)

    @property
    def growth(self) -> float:
        """By how much the acceptable value grows for each second that a player of the match has waited."""
        return AGE_SHARE * self.price


def _compares(rule: object, attribute: str) -> bool:
    return isinstance(rule, Difference | TeamDifference) and rule.attribute == attribute
