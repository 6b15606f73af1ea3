"""One check for each rule of a mode: whether a group keeps it, told while the group grows ticket by ticket.

A check keeps a small state of the tickets in a group so far. Once `takes` refuses a state, no further ticket could mend
it; what can be told only of a whole group is `holds`. What depends on the teams is decided in
`match_server/matching/teams.py`.
"""

from collections.abc import Callable
from math import inf
from operator import le
from typing import Generic, NamedTuple, TypeVar

from match_server.matching.entries import Entry
from match_server.matching.modes import GameMode
from match_server.matching.rules import Apart, Common, Difference, Latency, PartyBalance, Rematch, Same, TeamDifference

StateT = TypeVar("StateT")


class Check(Generic[StateT]):
    """The check of one rule."""

    def state(self, entry: Entry, now: float) -> StateT:
        """What the rule knows of a group of this one ticket."""
        raise NotImplementedError

    def merge(self, state: StateT, other: StateT) -> StateT:
        """What the rule knows of two groups together."""
        raise NotImplementedError

    def takes(self, state: StateT) -> bool:
        """Whether the rule takes the group so far."""
        return True

    def holds(self, state: StateT) -> bool:
        """Whether the rule takes the group as it is now."""
        return self.takes(state)

    def cost(self, state: StateT) -> float:
        """The rule's value over its limit before any widening."""
        return 0.0


class Spread(NamedTuple):
    """The state of `difference`."""

    low: float
    high: float
    limit: float


class DifferenceCheck(Check[Spread]):
    """`difference`: between any two players."""

    def __init__(self, number: int, rule: Difference) -> None:
        """`number` is the rule's place among the mode's."""
        self._number, self._rule = number, rule
        self._by_oldest = rule.age == "oldest"  # an older ticket may still come and loosen it

    def state(self, entry: Entry, now: float) -> Spread:
        low, high = entry.facts[self._number]
        return Spread(low, high, self._rule.limit(now - entry.enqueued_at))

    def merge(self, state: Spread, other: Spread) -> Spread:
        limit = max(state.limit, other.limit) if self._by_oldest else min(state.limit, other.limit)
        return Spread(min(state.low, other.low), max(state.high, other.high), limit)

    def takes(self, state: Spread) -> bool:
        return self._by_oldest or self.holds(state)

    def holds(self, state: Spread) -> bool:
        return state.high - state.low <= state.limit

    def cost(self, state: Spread) -> float:
        return self._rule.weight * (state.high - state.low) / (self._rule.max or 1.0)


class TeamLimitCheck(Check[float]):
    """`team_difference` and `party_balance`: here only the limit, for the teams are not known yet."""

    def __init__(self, rule: TeamDifference | PartyBalance) -> None:
        self._rule = rule
        self._pick: Callable[[float, float], float] = max if rule.age == "oldest" else min

    def state(self, entry: Entry, now: float) -> float:
        return self._rule.limit(now - entry.enqueued_at)

    def merge(self, state: float, other: float) -> float:
        return self._pick(state, other)


class Shared(NamedTuple):
    """The state of `same`: the value, and whether a ticket asks for the rule."""

    value: float | str | None  # None: not all the same
    asked: bool


class SameCheck(Check[Shared]):
    """`same`: all have one value, if one ticket asks for it."""

    def __init__(self, number: int, rule: Same) -> None:
        self._number, self._rule = number, rule

    def state(self, entry: Entry, now: float) -> Shared:
        return Shared(entry.facts[self._number], not self._rule.is_optional(now - entry.enqueued_at))

    def merge(self, state: Shared, other: Shared) -> Shared:
        return Shared(state.value if state.value == other.value else None, state.asked or other.asked)

    def takes(self, state: Shared) -> bool:
        return state.value is not None or not state.asked


class Lists(NamedTuple):
    """The state of `common`: each player's list, what they share, and whether a ticket asks for the rule."""

    lists: tuple[tuple[str, ...], ...]
    shared: frozenset[str]
    asked: bool


class CommonCheck(Check[Lists]):
    """`common`: the lists share an element, if one ticket asks for it."""

    def __init__(self, number: int, rule: Common) -> None:
        self._number, self._rule = number, rule

    def state(self, entry: Entry, now: float) -> Lists:
        lists = entry.facts[self._number]
        shared = frozenset[str](lists[0]).intersection(*lists[1:])
        return Lists(lists, shared, not self._rule.is_optional(now - entry.enqueued_at))

    def merge(self, state: Lists, other: Lists) -> Lists:
        return Lists(state.lists + other.lists, state.shared & other.shared, state.asked or other.asked)

    def takes(self, state: Lists) -> bool:
        return bool(state.shared) or not state.asked

    @staticmethod
    def chosen(state: Lists) -> str | None:
        """The shared element that the most players placed first; among equals the one placed earlier, then by name."""

        def standing(element: str) -> tuple[int, int, str]:
            places = [of.index(element) for of in state.lists]
            return (-places.count(0), sum(places), element)

        return min(state.shared, key=standing, default=None)


class Reach(NamedTuple):
    """The state of `latency`: for each region that all name the worst latency, and the limit."""

    worst: dict[str, float]
    limit: float


class LatencyCheck(Check[Reach]):
    """`latency`: a region with a free slot that every player reaches within the limit."""

    def __init__(self, number: int, rule: Latency, is_open: Callable[[str], bool]) -> None:
        """`is_open` says whether a region has a free slot on a server."""
        self._number, self._rule, self._is_open = number, rule, is_open
        self._by_oldest = rule.age == "oldest"

    def state(self, entry: Entry, now: float) -> Reach:
        return Reach(entry.facts[self._number], self._rule.limit(now - entry.enqueued_at))

    def merge(self, state: Reach, other: Reach) -> Reach:
        others = other.worst
        worst = {region: max(ms, others[region]) for region, ms in state.worst.items() if region in others}
        return Reach(worst, max(state.limit, other.limit) if self._by_oldest else min(state.limit, other.limit))

    def takes(self, state: Reach) -> bool:
        return self._by_oldest or self.holds(state)

    def holds(self, state: Reach) -> bool:
        # Where nobody asks any more, a region that does not serve all is no reason to refuse.
        return state.limit == inf or self.chosen(state) is not None

    def cost(self, state: Reach) -> float:
        region = self.chosen(state)
        return 0.0 if region is None else state.worst[region] / (self._rule.max or 1.0)

    def chosen(self, state: Reach) -> str | None:
        """The open region with the smallest worst latency within the limit; None if no region serves all."""
        reached = ((ms, region) for region, ms in state.worst.items() if ms <= state.limit and self._is_open(region))
        return min(reached, default=(0.0, None))[1]


class Company(NamedTuple):
    """The state of `apart` and `rematch`: who is there, and whom somebody there must not meet."""

    ids: frozenset[str]
    unwanted: frozenset[str]


class CompanyCheck(Check[Company]):
    """`apart`, and `rematch` where teams make no difference."""

    def __init__(self, number: int, rule: Apart | Rematch) -> None:
        self._number, self._rule = number, rule

    def state(self, entry: Entry, now: float) -> Company:
        return Company(entry.ids, unwanted(entry, self._number, self._rule, now))

    def merge(self, state: Company, other: Company) -> Company:
        return Company(state.ids | other.ids, state.unwanted | other.unwanted)

    def takes(self, state: Company) -> bool:
        return state.ids.isdisjoint(state.unwanted)


class OpponentsCheck(Check[None]):
    """`rematch` between teams: the teams decide who meets."""

    def state(self, entry: Entry, now: float) -> None:
        return None

    def merge(self, state: None, other: None) -> None:
        return None


class RolesCheck(Check[frozenset[tuple[int, ...]]]):
    """The roles of all teams together; which team plays them is decided with the teams.

    The state holds every way in which the group's players can fill roles: for each role, how many of them play it.
    """

    def __init__(self, mode: GameMode) -> None:
        quota: dict[str, int] = {}
        for roles in mode.roles.values():
            for name, players in roles.items():
                quota[name] = quota.get(name, 0) + players
        self._names, self._most = tuple(quota), tuple(quota.values())

    def state(self, entry: Entry, now: float) -> frozenset[tuple[int, ...]]:
        state = frozenset({(0,) * len(self._names)})
        for liked in entry.roles:
            plays = [role for role, name in enumerate(self._names) if name in liked or not liked]
            one = (tuple(int(place == role) for place in range(len(self._names))) for role in plays)
            state = self.merge(state, frozenset(one))
        return state

    def merge(self, state: frozenset[tuple[int, ...]], other: frozenset[tuple[int, ...]]) -> frozenset[tuple[int, ...]]:
        both = (tuple(map(sum, zip(one, two, strict=True))) for one in state for two in other)
        return frozenset(way for way in both if all(map(le, way, self._most)))

    def takes(self, state: frozenset[tuple[int, ...]]) -> bool:
        return bool(state)


def unwanted(entry: Entry, number: int, rule: Apart | Rematch, now: float) -> frozenset[str]:
    """The players that a ticket's rule keeps away from it now."""
    if rule.is_optional(now - entry.enqueued_at):
        return frozenset()
    if isinstance(rule, Apart):
        return frozenset(entry.facts[number]) - entry.ids
    return frozenset(player_id for player_id, at in entry.facts[number] if now - at < rule.within_seconds) - entry.ids
