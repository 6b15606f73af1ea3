"""Matches of more than two players where a second has a price: gathered, then formed many at a time.

A crowd of several matches, cut into stretches of the line, gives everybody near opponents, the outermost too. Taking
the best group as soon as there is one does not: it leaves the outermost behind, and they fill the queue. So the search
waits until as many players are there as are worth waiting for (`Patience.gathering`), then goes along the line from
both ends inwards. A group that is much wider than such a crowd lets expect is left for later; the longer its oldest
ticket has waited, the wider it may be.
"""

from collections.abc import Iterator, Sequence
from math import inf

import numpy as np

from match_server.matching.entries import Entry
from match_server.matching.exchange import Exchange
from match_server.matching.group_search import GroupSearch
from match_server.matching.groups import Draft, Group, Groups
from match_server.matching.modes import GameMode
from match_server.matching.patience import Gathering, Patience
from match_server.matching.picture import Picture

TRIES = 200
LONGEST = 2.0  # times the time that a gathering takes: then the oldest ticket waits for no more players
AGAIN = 0.25  # of that time: so long the next look waits if hardly anybody has come since
NEW_SHARE = 1 / 8  # of a gathering: so many players have to have come since the last look
# A group may be so wide, in parts of what is expected: at once, for each time a gathering takes, and for its square.
AT_ONCE, WITH_AGE, WITH_AGE_SQUARED = 0.45, 0.5, 0.1
PARTY_SHARE = 0.7  # of what a party's own members are apart: no waiting brings them closer
TEAM_WEIGHT = 4.0  # a point between teams decides who wins, and to look for a better split costs no waiting


class BatchSearch:
    """Finds groups among the tickets of a picture, many at a time."""

    first_look_seconds, look_share = GroupSearch.first_look_seconds, GroupSearch.look_share

    def __init__(self, mode: GameMode, picture: Picture, groups: Groups, patience: Patience) -> None:
        self._mode, self._picture, self._groups, self._patience = mode, picture, groups, patience
        self._at_once = GroupSearch(mode, picture, groups)
        self._exchange = Exchange(mode, groups, patience, team_weight=TEAM_WEIGHT)
        self._looked_at, self._new_players = -inf, 0
        self.looks: list[tuple[str, float]] = []  # tickets to look at again, and when

    def search(self, changed: Sequence[int], now: float) -> Iterator[Group | None]:
        """Groups, when it is time for them; they leave the picture. None: a pause."""
        self.looks = []
        gathering = self._patience.gathering(now)
        if gathering is None:
            yield from self._at_once.search(changed, now)
            return
        self._new_players += sum(self._picture.entry(slot).size for slot in changed)
        line = [self._picture.entry(slot) for slot in self._picture.order().tolist()]
        if not line:
            return
        oldest = min(line, key=lambda entry: entry.seniority)
        again = self._looked_at + AGAIN * gathering.seconds
        ready = oldest.enqueued_at + LONGEST * gathering.seconds
        if sum(entry.size for entry in line) >= gathering.players:
            ready = now
        enough = max(self._mode.players / 2, NEW_SHARE * gathering.players)
        if now >= ready and (self._new_players >= enough or now >= again):
            yield from self._formed(line, gathering, now)
            self._looked_at, self._new_players = now, 0
            again = now + AGAIN * gathering.seconds
        self.looks = [(entry.ticket.ticket_id, max(ready, again)) for entry in self._waiting_of(line)[:1]]

    def _waiting_of(self, line: Sequence[Entry]) -> list[Entry]:
        """Those that still wait, oldest first."""
        waiting = [entry for entry in line if entry.ticket.ticket_id in self._picture.slots]
        return sorted(waiting, key=lambda entry: entry.seniority)

    def _formed(self, line: Sequence[Entry], gathering: Gathering, now: float) -> Iterator[Group | None]:
        drafts = {entry.ticket.ticket_id: self._groups.start(entry, now) for entry in line}
        for seed in _inwards(line):
            start = drafts[seed.ticket.ticket_id]
            slot = self._picture.slots.get(seed.ticket.ticket_id)
            if start is None or slot is None:
                continue
            group = self._around(start, slot, drafts, now)
            if group is not None and self._is_good(group, gathering, now):
                for entry in group.entries:
                    self._picture.take(entry.ticket.ticket_id)
                yield group
            yield None

    def _is_good(self, group: Group, gathering: Gathering, now: float) -> bool:
        """Whether the group is as narrow and even as its tickets' ages ask."""
        waited = max(now - entry.enqueued_at for entry in group.entries) / gathering.seconds
        most = gathering.width * (AT_ONCE + WITH_AGE * AT_ONCE * waited + WITH_AGE_SQUARED * AT_ONCE * waited**2)
        return self._exchange.value(group, PARTY_SHARE) <= most

    def _around(self, start: Draft, slot: int, drafts: dict[str, Draft | None], now: float) -> Group | None:
        seed = start.entries[0]
        near, _ = self._picture.near(slot, 3 * self._mode.players, by_value=True)
        near = near[self._picture.allowed(np.full(len(near), slot), near, now)]
        entries = [self._picture.entry(int(other)) for other in near]
        others = [draft for entry in entries if (draft := drafts.get(entry.ticket.ticket_id)) is not None]
        others.sort(key=lambda draft: (abs(draft.entries[0].value - seed.value), draft.entries[0].seniority))
        group = self._groups.find(start, others, now, tries=TRIES)
        return None if group is None else self._exchange.improved(group, seed, others, now)


def _inwards(line: Sequence[Entry]) -> Iterator[Entry]:
    """The first, the last, the second, the last but one, and so on."""
    for place in range((len(line) + 1) // 2):
        yield line[place]
        if place != len(line) - 1 - place:
            yield line[-1 - place]
