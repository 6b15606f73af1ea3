"""A group made better by exchanging its tickets for others of the same size, one after another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from match_server.matching.entries import Entry
from match_server.matching.groups import CREDIT_PER_SECOND, Draft, Group, Groups
from match_server.matching.limits import Floats
from match_server.matching.modes import GameMode
from match_server.matching.patience import Patience
from match_server.matching.rules import Difference, TeamDifference

ROUNDS = 6


class Inside(NamedTuple):
    """The tickets of a group, in columns."""

    sizes: Floats
    teams: Floats
    lows: Floats
    highs: Floats
    sums: Floats


class Prices(NamedTuple):
    """What a point of difference, a point of team difference and a second of one player's waiting count."""

    point: float
    team_point: float
    second: float


class Exchange:
    """Improves the groups of a mode of two teams that compares one attribute."""

    def __init__(
        self, mode: GameMode, groups: Groups, patience: Patience | None = None, *, team_weight: float = 1.0
    ) -> None:
        self._groups = groups
        numbered = list(enumerate(mode.rules or ()))
        self._span = next(((n, rule) for n, rule in numbered if isinstance(rule, Difference)), None)
        self._team = next(((n, rule) for n, rule in numbered if isinstance(rule, TeamDifference)), None)
        self._prices = Prices(0.0, 0.0, 0.0)
        if self._span is not None and self._team is not None:
            (span_number, span), (team_number, team) = self._span, self._team
            if patience is None:
                self._prices = Prices(
                    span.weight / (span.max or 1.0), team.weight / (team.max or 1.0), CREDIT_PER_SECOND
                )
            else:
                weights = patience.weights
                team_point = team_weight * weights.get(team_number, 0.0)
                self._prices = Prices(weights.get(span_number, 0.0), team_point, patience.growth)
        self._two_teams = len(mode.teams) == 2
        self._sizes = np.array(list(mode.teams.values()), dtype=float)

    def improved(self, group: Group, seed: Entry, drafts: Sequence[Draft], now: float) -> Group:
        """The group, or a better one of the same sizes that still holds the seed."""
        if not self._two_teams or self._span is None or self._team is None:
            return group
        for _ in range(ROUNDS):
            better = self._once(group, seed, drafts, now)
            if better is None:
                return group
            group = better
        return group

    def _once(self, group: Group, seed: Entry, drafts: Sequence[Draft], now: float) -> Group | None:
        members = {entry.ticket.ticket_id for entry in group.entries}
        sizes = {entry.size for entry in group.entries}
        others = [
            draft.entries[0]
            for draft in drafts
            if draft.players in sizes and draft.entries[0].ticket.ticket_id not in members
        ]
        if not others or group.arrangement is None:
            return None
        first_team = next(iter(group.arrangement.teams.values()))
        inside = self._columns(group.entries, first_team)
        outside = self._columns(others, ())
        gain = self._gains(group.entries, others, inside, outside, now)
        fixed = next((n for n, entry in enumerate(group.entries) if entry is seed), None)
        if fixed is not None:
            gain[fixed] = 0.0
        for best in np.argsort(-gain, axis=None)[:3].tolist():
            gone, come = divmod(best, len(others))
            if gain[gone, come] <= 1e-9:
                return None
            entries = [*group.entries[:gone], others[come], *group.entries[gone + 1 :]]
            better = self._groups.of(entries, now)
            if better is not None and self._cost(better, now) < self._cost(group, now) - 1e-9:
                return better
        return None

    def _columns(self, entries: Sequence[Entry], first_team: Sequence[str]) -> Inside:
        span, team = self._span, self._team
        if span is None or team is None:
            raise TypeError("improved() looks at both rules first")
        return Inside(
            np.array([entry.size for entry in entries], dtype=float),
            np.array([0 if entry.ticket.members[0].player_id in first_team else 1 for entry in entries], dtype=float),
            np.array([entry.facts[span[0]][0] for entry in entries]),
            np.array([entry.facts[span[0]][1] for entry in entries]),
            np.array([sum(entry.facts[team[0]]) for entry in entries]),
        )

    def _gains(
        self, entries: Sequence[Entry], others: Sequence[Entry], inside: Inside, outside: Inside, now: float
    ) -> Floats:
        """For each ticket of the group and each other one, what is gained by exchanging them; 0 if sizes differ."""
        per_point, per_team_point, per_second = self._prices
        signs = np.where(inside.teams == 0, 1 / self._sizes[0], -1 / self._sizes[1])
        difference = float(signs @ inside.sums)
        changed = difference + signs[:, None] * (outside.sums[None, :] - inside.sums[:, None])
        low, high = _without_each(inside.lows, least=True), _without_each(inside.highs, least=False)
        span = np.maximum(high[:, None], outside.highs[None, :]) - np.minimum(low[:, None], outside.lows[None, :])
        gain = per_point * (inside.highs.max() - inside.lows.min() - span)
        gain += per_team_point * (abs(difference) - np.abs(changed))
        mine = np.array([now - entry.enqueued_at for entry in entries])
        theirs = np.array([now - entry.enqueued_at for entry in others])
        gain += per_second * inside.sizes[:, None] * (theirs[None, :] - mine[:, None])
        gain[inside.sizes[:, None] != outside.sizes[None, :]] = 0.0
        return np.asarray(gain)

    def value(self, group: Group, party_share: float) -> float:
        """The group's difference and team difference by these prices, less that share of its widest party's own."""
        if self._span is None or group.arrangement is None:
            return 0.0
        number = self._span[0]
        state = group.states[number]
        widest = max(entry.facts[number][1] - entry.facts[number][0] for entry in group.entries)
        total = self._prices.point * max(state.high - state.low - party_share * widest, 0.0)
        if self._team is not None:
            total += self._prices.team_point * group.arrangement.team_differences[0]
        return float(total)

    def _cost(self, group: Group, now: float) -> float:
        """What the group costs by these prices."""
        if self._span is None or self._team is None or group.arrangement is None:
            return 0.0
        state = group.states[self._span[0]]
        waited = sum(entry.size * (now - entry.enqueued_at) for entry in group.entries)
        total = self._prices.point * (state.high - state.low) - self._prices.second * waited
        return float(total + self._prices.team_point * group.arrangement.team_differences[0])


def _without_each(values: Floats, *, least: bool) -> Floats:
    """For each place the least (or the greatest) of the values at all other places."""
    ordered = np.sort(values) if least else -np.sort(-values)
    if len(values) < 2:
        return np.full(len(values), np.inf if least else -np.inf)
    return np.asarray(np.where(values == ordered[0], ordered[1], ordered[0]))
