"""Which tickets of a match play in which team, and who plays which role.

Up to `MOST_SPLITS` ways of filling the teams are all looked at, so the best is found: for ten single players and two
teams of five there are 126. Beyond that a start by turns is improved by exchanges until none helps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from match_server.matching.checks import unwanted
from match_server.matching.entries import Entry
from match_server.matching.modes import GameMode
from match_server.matching.rules import PartyBalance, Rematch, TeamDifference

MOST_SPLITS = 5_000
ROUNDING = 1e-9  # two ways to sum the same ratings may differ by so much
ROLE_WEIGHT = 0.5  # what it costs, beside the rules' values over their limits, if all play their second choice


@dataclass(frozen=True, slots=True)
class Unit:
    """Who stays in one team: a ticket, or one member of a party that is larger than every team."""

    entry: Entry
    players: tuple[int, ...]  # the members' numbers in their ticket

    @property
    def size(self) -> int:
        """Its players."""
        return len(self.players)


class Arrangement(NamedTuple):
    """A match's teams and roles."""

    teams: dict[str, tuple[str, ...]]
    roles: dict[str, str]
    team_differences: tuple[float, ...]  # one for each rule of that kind
    cost: float


class Splits(NamedTuple):
    """All ways to fill the teams with units of given sizes."""

    team_of: NDArray[np.int8]  # [split, unit]
    inside: NDArray[np.float64]  # [team, split, unit]: 1 where the unit is in the team
    imbalance: NDArray[np.int64]  # [split]: the largest parties of the teams differ by so many players


class Arranger:
    """Arranges the teams of one mode's matches."""

    def __init__(self, mode: GameMode) -> None:
        """`mode` has teams."""
        self._mode = mode
        self._names = tuple(mode.teams)
        self._sizes = tuple(mode.teams.values())
        numbered = list(enumerate(mode.rules or ()))
        self._differences = [(number, rule) for number, rule in numbered if isinstance(rule, TeamDifference)]
        self._balances = [number for number, rule in numbered if isinstance(rule, PartyBalance)]
        self._rematches = [
            (number, rule) for number, rule in numbered if isinstance(rule, Rematch) and not rule.with_teammates
        ]

    def arrange(self, entries: Sequence[Entry], states: Sequence[Any] | None, now: float) -> Arrangement | None:
        """The best teams of a full match within the rules' limits; None if there are none.

        Args:
            entries: The match's tickets.
            states: What the rules' checks say of them; None: a private match, which no rule refuses.
            now: Seconds since the epoch.
        """
        units = self._units(entries)
        splits = _all_splits(tuple(unit.size for unit in units), self._sizes)
        if splits is None:
            splits = _some_split(units, self._sizes, self._differences[0][0] if self._differences else None)
        if splits is None:
            return None
        costs, allowed, found = self._weighed(units, splits, states)
        best: Arrangement | None = None
        for split in self._in_order(costs, allowed):
            if best is not None and costs[split] >= best.cost:
                break
            filled = self._filled(units, splits.team_of[split], now, free=states is None)
            if filled is not None:
                teams, roles, disliked = filled
                cost = float(costs[split]) + disliked
                if best is None or cost < best.cost:
                    best = Arrangement(teams, roles, tuple(float(of[split]) for of in found), cost)
        return best

    def _weighed(
        self, units: Sequence[Unit], splits: Splits, states: Sequence[Any] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[NDArray[np.float64]]]:
        """Each split's cost, whether the limits allow it, and its difference by each rule `team_difference`."""
        costs = np.zeros(len(splits.team_of))
        allowed = np.ones(len(splits.team_of), dtype=bool)
        found = []
        for number, rule in self._differences:
            difference = _team_differences(splits, [_sum(unit, number) for unit in units], self._sizes)
            costs += rule.weight * difference / (rule.max or 1.0)
            found.append(difference)
            if states is not None:
                allowed &= difference <= states[number] + ROUNDING
        if states is not None:
            for number in self._balances:
                allowed &= splits.imbalance <= states[number]
        return costs, allowed, found

    def _units(self, entries: Sequence[Entry]) -> list[Unit]:
        if len(entries) == 1 and entries[0].size > max(self._sizes):
            return [Unit(entries[0], (number,)) for number in range(entries[0].size)]
        return [Unit(entry, tuple(range(entry.size))) for entry in sorted(entries, key=lambda entry: -entry.size)]

    @staticmethod
    def _in_order(costs: NDArray[np.float64], allowed: NDArray[np.bool_]) -> Iterator[int]:
        """The allowed splits, cheapest first."""
        numbers = np.flatnonzero(allowed)
        return (int(number) for number in numbers[np.argsort(costs[numbers], kind="stable")])

    def _filled(
        self, units: Sequence[Unit], team_of: Sequence[int], now: float, *, free: bool
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, str], float] | None:
        """Teams and roles of a split; None if opponents must not meet or a role stays empty."""
        members: list[list[tuple[str, tuple[str, ...]]]] = [[] for _ in self._names]
        for unit, team in zip(units, team_of, strict=True):
            for number in unit.players:
                roles = unit.entry.roles[number] if unit.entry.roles else ()
                members[team].append((unit.entry.ticket.members[number].player_id, roles))
        if not free and self._rematches and self._met(units, team_of, members, now):
            return None
        roles_of: dict[str, str] = {}
        disliked = 0
        for name, inside in zip(self._names, members, strict=True):
            if name in self._mode.roles:
                given = assign_roles([liked for _, liked in inside], self._mode.roles[name])
                if given is None and free:
                    given = assign_roles([() for _ in inside], self._mode.roles[name])
                if given is None:
                    return None
                roles_of |= {player: role for (player, _), role in zip(inside, given.roles, strict=True)}
                disliked += given.disliked
        teams = {name: tuple(player for player, _ in inside) for name, inside in zip(self._names, members, strict=True)}
        return teams, roles_of, ROLE_WEIGHT * disliked / self._mode.players

    def _met(
        self,
        units: Sequence[Unit],
        team_of: Sequence[int],
        members: Sequence[Sequence[tuple[str, tuple[str, ...]]]],
        now: float,
    ) -> bool:
        """Whether somebody is against a player whom it met too lately."""
        for unit, team in zip(units, team_of, strict=True):
            for number, rule in self._rematches:
                away = unwanted(unit.entry, number, rule, now)
                others = (inside for other, inside in enumerate(members) if other != team)
                if away and any(player in away for inside in others for player, _ in inside):
                    return True
        return False


class Roles(NamedTuple):
    """A role for each player of a team, and by how many places the players' lists were passed over."""

    roles: tuple[str, ...]
    disliked: int


def assign_roles(liked: Sequence[tuple[str, ...]], quota: Mapping[str, int]) -> Roles | None:
    """Fill a team's roles so that the players' choices count least; None if some role stays empty.

    Args:
        liked: For each player the roles that it plays, best liked first; empty: any.
        quota: How many players each role takes, as many as there are players together.
    """
    names = tuple(quota)
    best: dict[tuple[int, ...], Roles] = {tuple(quota.values()): Roles((), 0)}  # by what is still to fill
    for choices in liked:
        following: dict[tuple[int, ...], Roles] = {}
        for left, so_far in best.items():
            for place, name in enumerate(names):
                if left[place] == 0 or (choices and name not in choices):
                    continue
                rest = (*left[:place], left[place] - 1, *left[place + 1 :])
                disliked = so_far.disliked + (choices.index(name) if choices else 0)
                if rest not in following or disliked < following[rest].disliked:
                    following[rest] = Roles((*so_far.roles, name), disliked)
        best = following
    return min(best.values(), key=lambda found: found.disliked, default=None)


@lru_cache(maxsize=16_384)
def fits(sizes: tuple[int, ...], teams: tuple[int, ...], imbalance: float) -> bool:
    """Whether parties of these sizes find room in the teams, and others may still come so that the teams fit together.

    Args:
        sizes: Largest first.
        teams: The teams' sizes, largest first.
        imbalance: By how much the largest parties of the teams may differ.
    """
    least = sizes[0] - imbalance  # a team's largest party has to be as large, or still to find room

    def place(unit: int, rooms: tuple[tuple[int, int], ...]) -> bool:
        if unit == len(sizes):
            return all(max(room, largest) >= least for room, largest in rooms)
        for team in dict.fromkeys(rooms):
            room, largest = team
            if room >= sizes[unit]:
                where = rooms.index(team)
                filled = (room - sizes[unit], max(largest, sizes[unit]))
                if place(unit + 1, tuple(sorted((*rooms[:where], filled, *rooms[where + 1 :]), reverse=True))):
                    return True
        return False

    return place(0, tuple((room, 0) for room in teams))


@lru_cache(maxsize=512)
def _all_splits(sizes: tuple[int, ...], teams: tuple[int, ...]) -> Splits | None:
    """Every way to fill the teams exactly; None if there are too many. Empty teams of one size are the same team."""
    found: list[tuple[int, ...]] = []

    def place(unit: int, room: tuple[int, ...], so_far: tuple[int, ...]) -> bool:
        if unit == len(sizes):
            found.append(so_far)
            return len(found) <= MOST_SPLITS
        seen: set[int] = set()
        for team, left in enumerate(room):
            empty = left == teams[team]
            if left < sizes[unit] or (empty and left in seen):
                continue
            if empty:
                seen.add(left)
            if not place(unit + 1, (*room[:team], left - sizes[unit], *room[team + 1 :]), (*so_far, team)):
                return False
        return True

    return _splits(found, sizes, teams) if place(0, teams, ()) else None


def _splits(found: Sequence[Sequence[int]], sizes: Sequence[int], teams: Sequence[int]) -> Splits:
    team_of = np.array(found, dtype=np.int8).reshape(len(found), len(sizes))
    inside = np.stack([(team_of == team).astype(np.float64) for team in range(len(teams))])
    largest = (inside * np.array(sizes)).max(axis=2, initial=0)
    return Splits(team_of, inside, (largest.max(axis=0) - largest.min(axis=0)).astype(np.int64))


def _team_differences(splits: Splits, sums: Sequence[float], teams: Sequence[int]) -> NDArray[np.float64]:
    """For each split the difference between the highest and the lowest mean of a team."""
    means = (splits.inside @ np.array(sums)) / np.array(teams)[:, None]
    return np.asarray(means.max(axis=0) - means.min(axis=0))


def _sum(unit: Unit, number: int) -> float:
    fact = unit.entry.facts[number]
    return float(sum(fact[player] for player in unit.players))


def _some_split(units: Sequence[Unit], teams: tuple[int, ...], number: int | None) -> Splits | None:
    """One good way to fill many teams: large parties first, each where the sum is lowest, then exchanges."""
    sums = [0.0 if number is None else _sum(unit, number) for unit in units]
    order = sorted(range(len(units)), key=lambda unit: (-units[unit].size, -sums[unit]))
    room, total = list(teams), [0.0] * len(teams)
    team_of = [0] * len(units)
    for unit in order:
        free = [team for team in range(len(teams)) if room[team] >= units[unit].size]
        if not free:
            return None
        team = min(free, key=lambda team: (total[team] / teams[team], -room[team]))
        team_of[unit], room[team], total[team] = team, room[team] - units[unit].size, total[team] + sums[unit]
    _exchange(units, team_of, sums, total, teams)
    return _splits([team_of], [unit.size for unit in units], teams)


def _exchange(
    units: Sequence[Unit], team_of: list[int], sums: Sequence[float], total: list[float], teams: Sequence[int]
) -> None:
    """Exchange units of one size between the highest and the lowest team as long as that brings them closer."""
    for _ in range(4 * len(units)):
        means = [of / size for of, size in zip(total, teams, strict=True)]
        high, low = means.index(max(means)), means.index(min(means))
        gap = means[high] - means[low]
        per_point = 1 / teams[high] + 1 / teams[low]
        best, pair = gap, None
        for one in (unit for unit, team in enumerate(team_of) if team == high):
            for other in (unit for unit, team in enumerate(team_of) if team == low):
                if units[one].size == units[other].size:
                    after = abs(gap - (sums[one] - sums[other]) * per_point)
                    if after < best - 1e-9:
                        best, pair = after, (one, other)
        if pair is None:
            return
        one, other = pair
        team_of[one], team_of[other] = low, high
        total[high] += sums[other] - sums[one]
        total[low] += sums[one] - sums[other]
