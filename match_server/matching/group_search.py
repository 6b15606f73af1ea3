"""Matches of more than two players, looked for around each ticket that changed, the oldest first.

Around a ticket several groups are tried: from the narrowest stretches of the line that hold it and enough players, and
from its nearest with the oldest ticket that it accepts. The cheapest is taken, by the rules' values less the credit for
waiting, and improved by exchanging tickets of one size. The credit grows without bound, so that no ticket is passed
over for ever.
"""

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from match_server.matching.entries import Entry
from match_server.matching.exchange import Exchange
from match_server.matching.groups import CREDIT_PER_SECOND, Draft, Group, Groups, credit
from match_server.matching.modes import GameMode
from match_server.matching.picture import Picture
from match_server.matching.rules import Difference, TeamDifference

FEW = 40  # up to so many changed tickets, several groups are tried around each
PLENTY = 3  # times the players of a match: so many are looked at around a ticket, at first
MOST_AROUND = 1_024  # tickets looked at around one before its search ends; in a crowd twice the first
TRIES, TRIES_IN_CROWD = 200, 80
STRETCHES = 3
WIDTHS = 5  # of windows that are looked at around one ticket
MOST_FAILURES = 2  # orders that led to nothing, before the others are not tried
OLD_SECONDS = 5.0  # a ticket that has waited so long is given its chance in other tickets' groups


class Stretch(NamedTuple):
    """A part of a line of tickets that holds the seed and enough players for a match."""

    span: float  # between its lowest and its highest player
    first: int
    last: int
    line: list[Draft]


class GroupSearch:
    """Finds groups among the tickets of a picture."""

    # A window that widens by the second is looked at again after so long, or after that share of the ticket's age.
    first_look_seconds, look_share = 2.0, 0.2

    def __init__(self, mode: GameMode, picture: Picture, groups: Groups) -> None:
        self._mode, self._picture, self._groups = mode, picture, groups
        compared = [rule for rule in mode.rules or () if isinstance(rule, Difference | TeamDifference)]
        self._scale = compared[0].weight / (compared[0].max or 1.0) if compared else 0.0
        self._span = next((n for n, rule in enumerate(mode.rules or ()) if isinstance(rule, Difference)), None)
        # A rule that the oldest ticket loosens says nothing of a group that is not whole yet.
        self._window = next(
            (n for n, rule in enumerate(mode.rules or ()) if isinstance(rule, Difference) and rule.age == "ticket"),
            None,
        )
        rule = mode.rules[self._window] if mode.rules and self._window is not None else None
        self._pace = rule.widen_per_second or 0.0 if isinstance(rule, Difference) else 0.0
        self._missing = inf  # how much wider windows have to be before the last ticket looked at can have a match
        self._exchange = Exchange(mode, groups)
        self.looks: list[tuple[str, float]] = []  # tickets that need no look by their window's pace before
        self._drafts: dict[str, Draft | None] = {}

    def search(self, changed: Sequence[int], now: float) -> Iterator[Group | None]:
        """Groups with the tickets in these slots; they leave the picture. None: a pause."""
        self._drafts, self.looks = {}, []
        crowded = len(changed) > FEW
        slots = np.array(changed, dtype=np.int64)
        oldest_first = slots[np.lexsort((slots, self._picture.enqueued[slots]))]
        for seed in [self._picture.entry(slot) for slot in oldest_first.tolist()]:
            slot = self._picture.slots.get(seed.ticket.ticket_id)
            if slot is None:
                continue
            self._missing = inf
            group = self._best(seed, slot, now, crowded=crowded)
            if group is not None:
                group = self._oldest_of_alike(group, now)
                for entry in group.entries:
                    self._picture.take(entry.ticket.ticket_id)
                yield group
            elif self._pace and self._missing < inf:
                # All windows widen at one pace: unless somebody comes, who is then looked at, nothing fits before.
                self.looks.append((seed.ticket.ticket_id, now + self._missing / self._pace))
            yield None

    def _best(self, seed: Entry, slot: int, now: float, *, crowded: bool) -> Group | None:
        start = self._draft(seed, now)
        if start is None:
            return None
        reach = self._mode.players * (PLENTY if self._scale else 1)
        most = reach if crowded else MOST_AROUND
        while True:
            around, whole = self._around(slot, reach, now)
            drafts = [draft for entry in around if (draft := self._draft(entry, now)) is not None]
            players = start.players + sum(draft.players for draft in drafts)
            if players >= self._mode.least_players:
                group = self._cheapest(start, drafts, now, crowded=crowded)
                if group is not None:
                    return group
            enough = players >= PLENTY * self._mode.players and not self._mode.roles
            if whole or enough or reach > most:
                return None
            reach *= 4

    def _cheapest(self, start: Draft, drafts: list[Draft], now: float, *, crowded: bool) -> Group | None:
        best: tuple[float, Group] | None = None
        failures = 0
        tries = TRIES_IN_CROWD if crowded and self._scale else TRIES
        widths = 1 if crowded else WIDTHS
        stretches = self._stretches_in_windows(start, self._in_line(start, drafts), widths) if self._scale else []
        if self._window is not None and not stretches:
            return None
        for order in self._orders(start, drafts, stretches, now, crowded=crowded):
            group = self._groups.find(start, order, now, tries=tries)
            if group is None:
                failures += 1
                if failures == MOST_FAILURES:
                    break
                continue
            rank = group.cost - credit(group.entries, now)
            if best is None or rank < best[0]:
                best = (rank, group)
        if best is None:
            return None
        return best[1] if crowded else self._exchange.improved(best[1], start.entries[0], drafts, now)

    @staticmethod
    def _in_line(start: Draft, drafts: list[Draft]) -> list[Draft]:
        return sorted((start, *drafts), key=lambda draft: (draft.entries[0].value, draft.entries[0].seniority))

    def _stretches_in_windows(self, start: Draft, line: list[Draft], most_widths: int) -> list[Stretch]:
        """Stretches that hold the seed and enough players whose windows are as wide as the stretch, narrowest first.

        A match is as narrow as the narrowest window in it. So for some widths only the tickets are taken whose windows
        are so wide; where no stretch of them fits into the width, no search could find a match.
        """
        window = self._window
        if window is None:
            return self._stretches(start, line)
        own = start.states[window].limit
        limits = [draft.states[window].limit for draft in line]
        widths = sorted({min(limit, own) for limit in limits})
        step = max(1, len(widths) // most_widths)
        found = []
        for width in [*widths[:-1:step], widths[-1]]:
            wide = [draft for draft, limit in zip(line, limits, strict=True) if limit >= width]
            for stretch in self._stretches(start, wide)[:1]:
                if stretch.span <= width:
                    found.append(stretch)
                else:
                    self._missing = min(self._missing, stretch.span - width)
        return sorted(found, key=lambda stretch: stretch.span)

    def _stretches(self, start: Draft, line: list[Draft]) -> list[Stretch]:
        """The stretches of the line that hold the seed and enough players, narrowest first."""
        here = next(place for place, draft in enumerate(line) if draft is start)
        spans = [self._low_high(draft.entries[0]) for draft in line]
        lows, highs = [low for low, _ in spans], [high for _, high in spans]
        found = []
        players, last = 0, -1
        for first in range(here + 1):
            while last + 1 < len(line) and (players < self._mode.least_players or last < here):
                last += 1
                players += line[last].players
            if players < self._mode.least_players:
                break
            span = max(highs[first : last + 1]) - min(lows[first : last + 1])
            found.append(Stretch(span, first, last, line))
            players -= line[first].players
        return sorted(found, key=lambda stretch: stretch.span)

    def _low_high(self, entry: Entry) -> tuple[float, float]:
        if self._span is None:
            return entry.value, entry.value
        low, high = entry.facts[self._span]
        return low, high

    def _orders(
        self, start: Draft, drafts: list[Draft], stretches: list[Stretch], now: float, *, crowded: bool
    ) -> Iterator[list[Draft]]:
        """Orders in which to take tickets to the seed."""

        def after(middle: float, among: Sequence[Draft]) -> list[Draft]:
            def distance(draft: Draft) -> float:
                entry = draft.entries[0]
                return abs(entry.value - middle) * self._scale - CREDIT_PER_SECOND * (now - entry.enqueued_at)

            return sorted(among, key=distance)

        near: list[Draft] | None = None if stretches else after(start.entries[0].value, drafts)
        for stretch in stretches[: 1 if crowded else STRETCHES]:
            inside = stretch.line[stretch.first : stretch.last + 1]
            middle = sum(draft.entries[0].value for draft in inside) / len(inside)
            yield [draft for draft in after(middle, stretch.line) if draft is not start]
        if near is not None:
            yield near
        oldest = min(drafts, key=lambda draft: draft.entries[0].seniority, default=None)
        if oldest is not None and now - oldest.entries[0].enqueued_at >= OLD_SECONDS:
            near = after(start.entries[0].value, drafts) if near is None else near
            yield [oldest, *(draft for draft in near if draft is not oldest)]

    def _around(self, slot: int, reach: int, now: float) -> tuple[list[Entry], bool]:
        """The tickets that a ticket accepts and that accept it, near it or, where nothing is compared, the oldest.

        The second part says whether no ticket further away is left.
        """
        near, whole = self._picture.near(slot, reach, by_value=bool(self._scale))
        mask = self._picture.allowed(np.full(len(near), slot), near, now)
        return [self._picture.entry(other) for other in near[mask].tolist()], whole

    def _draft(self, entry: Entry, now: float) -> Draft | None:
        ticket_id = entry.ticket.ticket_id
        if ticket_id not in self._drafts:
            self._drafts[ticket_id] = self._groups.start(entry, now)
        return self._drafts[ticket_id]

    def _oldest_of_alike(self, group: Group, now: float) -> Group:
        """The group with each ticket exchanged for the oldest that the rules cannot tell from it."""
        members = {entry.ticket.ticket_id for entry in group.entries}
        exchanged: list[Entry] = []
        for entry in sorted(group.entries, key=lambda entry: entry.seniority):
            older = self._picture.oldest_alike(entry, members)
            members.add(older.ticket.ticket_id)
            exchanged.append(older)
        if {entry.ticket.ticket_id for entry in exchanged} == {entry.ticket.ticket_id for entry in group.entries}:
            return group
        return self._groups.of(exchanged, now) or group
