"""Groups of tickets that make a match: found ticket by ticket, and the cheapest of several ways taken."""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, NamedTuple

from match_server.matching.checks import (
    Check,
    CommonCheck,
    CompanyCheck,
    DifferenceCheck,
    LatencyCheck,
    OpponentsCheck,
    Reach,
    RolesCheck,
    SameCheck,
    Spread,
    TeamLimitCheck,
)
from match_server.matching.entries import Entry
from match_server.matching.modes import GameMode
from match_server.matching.rules import (
    Apart,
    Common,
    Difference,
    Latency,
    PartyBalance,
    Rematch,
    Rule,
    Same,
    TeamDifference,
)
from match_server.matching.teams import Arrangement, Arranger, fits
from match_server.matching.tickets import Proposal

CREDIT_PER_SECOND = 1 / 60  # what a player's waiting counts against the rules' values over their limits

States = tuple[Any, ...]


class Draft(NamedTuple):
    """A group that may grow."""

    entries: tuple[Entry, ...]
    players: int
    sizes: tuple[int, ...]  # of its tickets, largest first; left out where there is one team to fill, or none
    states: States  # what each rule's check says


class Group(NamedTuple):
    """A group that makes a match."""

    entries: tuple[Entry, ...]
    states: States
    arrangement: Arrangement | None  # None: a mode without teams
    cost: float  # of the rules, without any credit


class Groups:
    """Makes groups of one mode's tickets."""

    def __init__(self, mode: GameMode, *, is_open: Callable[[str], bool]) -> None:
        """`is_open` says whether a region has a free slot on a server."""
        self._mode = mode
        self._checks = [_check(number, rule, mode, is_open) for number, rule in enumerate(mode.rules or ())]
        if mode.roles:
            self._checks.append(RolesCheck(mode))
        self._regions = [(n, check) for n, check in enumerate(self._checks) if isinstance(check, LatencyCheck)]
        # What a proposal says of its states: of several rules of a kind the first one's, so the first comes last.
        self._told = [
            (n, rule, check)
            for n, (rule, check) in enumerate(zip(mode.rules or (), self._checks, strict=False))
            if isinstance(check, DifferenceCheck | LatencyCheck | SameCheck | CommonCheck)
        ][::-1]
        self._only_differences = not mode.teams and all(isinstance(check, DifferenceCheck) for check in self._checks)
        self._balance = next((n for n, rule in enumerate(mode.rules or ()) if isinstance(rule, PartyBalance)), None)
        self._arranger = Arranger(mode) if mode.teams else None
        self._rooms = tuple(sorted(mode.teams.values(), reverse=True)) or (mode.players,)

    def start(self, entry: Entry, now: float) -> Draft | None:
        """A group of one ticket; None if the rules refuse it even alone."""
        if entry.size > self._rooms[0]:
            return None
        states = []
        for check in self._checks:
            state = check.state(entry, now)
            if not check.takes(state):
                return None
            states.append(state)
        return Draft((entry,), entry.size, (entry.size,), tuple(states))

    def join(self, draft: Draft, other: Draft) -> Draft | None:
        """Both groups as one; None if the rules or the teams' sizes refuse that."""
        players = draft.players + other.players
        if players > self._mode.players:
            return None
        states = []
        for check, one, two in zip(self._checks, draft.states, other.states, strict=True):
            state = check.merge(one, two)
            if not check.takes(state):
                return None
            states.append(state)
        one_room = len(self._rooms) == 1
        sizes = () if one_room else tuple(sorted(draft.sizes + other.sizes, reverse=True))
        if (
            not one_room
            and sizes[0] > 1
            and not fits(sizes, self._rooms, inf if self._balance is None else states[self._balance])
        ):
            return None
        return Draft(draft.entries + other.entries, players, sizes, tuple(states))

    def complete(self, draft: Draft, now: float) -> Group | None:
        """The match that a group makes; None if it is too small yet, or the rules refuse every way to make teams."""
        if draft.players < self._least(draft, now):
            return None
        if not all(check.holds(state) for check, state in zip(self._checks, draft.states, strict=True)):
            return None
        arrangement = None
        if self._arranger is not None:
            arrangement = self._arranger.arrange(draft.entries, draft.states, now)
            if arrangement is None:
                return None
        cost = sum(check.cost(state) for check, state in zip(self._checks, draft.states, strict=True))
        return Group(draft.entries, draft.states, arrangement, cost + (arrangement.cost if arrangement else 0.0))

    def private(self, entry: Entry, now: float) -> Group | None:
        """The match of a party that fills it alone; None if this is no such party. No rule refuses it."""
        if entry.size != self._mode.players:
            return None
        states = tuple(check.state(entry, now) for check in self._checks)
        free = tuple(Reach(state.worst, inf) if isinstance(state, Reach) else state for state in states)
        arrangement = self._arranger.arrange((entry,), None, now) if self._arranger else None
        return Group((entry,), free, arrangement, 0.0)

    def pair(self, one: Entry, other: Entry, now: float) -> Group | None:
        """The match of two single tickets that every column of the picture allows."""
        if not self._only_differences:
            return self.of((one, other), now)
        both = [
            Spread(min(low, other_low), max(high, other_high), inf)
            for (low, high), (other_low, other_high) in zip(one.facts, other.facts, strict=True)
        ]
        return Group((one, other), tuple(both), None, 0.0)

    def of(self, entries: Sequence[Entry], now: float) -> Group | None:
        """The match of just these tickets; None if the rules refuse it."""
        draft: Draft | None = None
        for entry in entries:
            one = self.start(entry, now)
            draft = one if draft is None or one is None else self.join(draft, one)
            if draft is None:
                return None
        return self.complete(draft, now) if draft else None

    def still(self, group: Group) -> bool:
        """Whether a region that the group reaches is still open."""
        return not self._regions or all(check.holds(group.states[number]) for number, check in self._regions)

    def _least(self, draft: Draft, now: float) -> int:
        oldest = min(entry.enqueued_at for entry in draft.entries)
        waited = now - oldest >= self._mode.fill_seconds
        return self._mode.least_players if waited else self._mode.players

    def find(self, seed: Draft, others: Sequence[Draft], now: float, *, tries: int) -> Group | None:
        """The first group that the seed makes with others, taken in their order as far as they fit.

        A choice that leads nowhere is taken back. After `tries` tickets that were tried, or matches, none is found.
        """
        left = tries
        sums = _sums_from(others)

        def fill(draft: Draft, first: int) -> Group | None:
            nonlocal left
            if draft.players == self._mode.players:
                return self.complete(draft, now)
            for place in range(first, len(others)):
                if left <= 0 or draft.players + sums[place] < self._mode.least_players:
                    break
                left -= 1
                joined = self.join(draft, others[place])
                if joined is not None:
                    group = fill(joined, place + 1)
                    if group is not None:
                        return group
            return self.complete(draft, now) if self._mode.least_players < self._mode.players else None

        return fill(seed, 0)

    def proposal(self, group: Group) -> Proposal:
        """What is proposed for a group."""
        entries = sorted(group.entries, key=lambda entry: entry.seniority)
        arrangement = group.arrangement
        difference, region = 0.0, None
        properties: dict[str, str | float] = {}
        for number, rule, check in self._told:
            state = group.states[number]
            match check:
                case DifferenceCheck():
                    difference = state.high - state.low
                case LatencyCheck():
                    region = check.chosen(state)
                case SameCheck() if isinstance(rule, Same) and state.value is not None:
                    properties[rule.attribute] = state.value
                case CommonCheck() if isinstance(rule, Common):
                    chosen = check.chosen(state)
                    if chosen is not None:
                        properties[rule.attribute] = chosen
        return Proposal(
            tuple(entry.ticket for entry in entries),
            arrangement.teams if arrangement else {},
            arrangement.roles if arrangement else {},
            region,
            properties,
            difference,
            next(iter(arrangement.team_differences), 0.0) if arrangement else 0.0,
        )


def _check(  # noqa: PLR0911 - one for each kind
    number: int, rule: Rule, mode: GameMode, is_open: Callable[[str], bool]
) -> Check[Any]:
    match rule:
        case Difference():
            return DifferenceCheck(number, rule)
        case TeamDifference() | PartyBalance():
            return TeamLimitCheck(rule)
        case Same():
            return SameCheck(number, rule)
        case Common():
            return CommonCheck(number, rule)
        case Latency():
            return LatencyCheck(number, rule, is_open)
        case Rematch() if len(mode.teams) > 1 and not rule.with_teammates:
            return OpponentsCheck()
        case Apart() | Rematch():
            return CompanyCheck(number, rule)


def credit(entries: Iterable[Entry], now: float) -> float:
    """What the waiting of all players of these tickets counts."""
    return CREDIT_PER_SECOND * sum(entry.size * (now - entry.enqueued_at) for entry in entries)


def _sums_from(drafts: Sequence[Draft]) -> list[int]:
    """For each place the players from there to the end."""
    sums = [0]
    for draft in reversed(drafts):
        sums.append(sums[-1] + draft.players)
    return sums[::-1]
