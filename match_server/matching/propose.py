"""Who plays with whom: proposals from the waiting tickets of one mode. No I/O, and no clock of its own.

`Proposer` keeps a picture of what waits, is fed changes, and looks again only where something changed: a ticket came, a
window took a step, a region opened. `propose` is the same for a picture that is all new. The same input gives the same
proposals.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from math import inf

from match_server.matching.batch_search import BatchSearch
from match_server.matching.entries import Entry, EntryReader
from match_server.matching.group_search import GroupSearch
from match_server.matching.groups import Group, Groups
from match_server.matching.modes import GameMode
from match_server.matching.pair_search import PairSearch
from match_server.matching.patience import Patience
from match_server.matching.picture import Picture
from match_server.matching.rules import Difference, Latency, PartyBalance, Rematch, TeamDifference
from match_server.matching.tickets import Proposal, Ticket

ROUNDING_SECONDS = 1e-6  # a look at the very moment might find the ticket a rounding too young, again and again


class Slots:
    """The free slots on servers that a mode's matches may take."""

    def __init__(self) -> None:
        self._free: dict[str, int] | None = None
        self.closed: set[str] = set()  # regions that had no slot when it was tried

    def set(self, free: Mapping[str, int] | None) -> bool:
        """Say how many slots are free in each region; None: as many as are needed. Whether a region opened."""
        before = self._free
        self._free = None if free is None else dict(free)
        if before is None:
            return False
        return self._free is None or any(n > 0 >= before.get(region, 0) for region, n in self._free.items())

    def is_open(self, region: str) -> bool:
        """Whether the region has a free slot."""
        return region not in self.closed and (self._free is None or self._free.get(region, 0) > 0)

    @property
    def any_open(self) -> bool:
        """Whether any region has a free slot."""
        return self._free is None or any(free > 0 for free in self._free.values())

    def take(self, region: str | None) -> None:
        """Count one slot as taken: of this region, or of the one that has most."""
        if self._free is not None:
            free = self._free
            chosen = region if region is not None else max(free, key=lambda name: free[name])
            free[chosen] -= 1


class Proposer:
    """Proposes the matches of one mode that is formed by rules."""

    def __init__(self, mode: GameMode) -> None:
        self.mode = mode
        self.slots = Slots()
        pairs = mode.players == mode.least_players == 2 and not mode.roles
        self.picture = Picture(mode, is_open=self.slots.is_open, keeps_alike=not pairs)
        self.lacking: dict[str, Entry] = {}  # tickets without an attribute that the rules need: they wait
        self._reader = EntryReader(mode)
        self._groups = Groups(mode, is_open=self.slots.is_open)
        self.patience = Patience(mode) if mode.second_is_worth else None
        self._search: PairSearch | GroupSearch | BatchSearch
        if pairs:
            self._search = PairSearch(self.picture, self._groups, self.patience)
        elif self.patience is not None:
            self._search = BatchSearch(mode, self.picture, self._groups, self.patience)
        else:
            self._search = GroupSearch(mode, self.picture, self._groups)
        self._private: list[Entry] = []
        self._changed: set[str] = set()
        self._looks: list[tuple[float, str]] = []  # when to look at a ticket again
        self._buffered: list[Ticket | str] | None = None  # what changes while a tick goes on

    def add(self, ticket: Ticket) -> None:
        """A ticket waits, for the first time or again."""
        if self._buffered is not None:
            self._buffered.append(ticket)
            return
        self.remove(ticket.ticket_id)
        entry = self._reader.read(ticket)
        if entry.missing is not None:
            self.lacking[ticket.ticket_id] = entry
        elif entry.size == self.mode.players:
            self._private.append(entry)
        else:
            self.picture.put(entry)
            self._changed.add(ticket.ticket_id)
            if self.patience is not None:
                self.patience.arrived(entry)

    def remove(self, ticket_id: str) -> None:
        """A ticket waits no longer."""
        if self._buffered is not None:
            self._buffered.append(ticket_id)
            return
        self.lacking.pop(ticket_id, None)
        self._private = [entry for entry in self._private if entry.ticket.ticket_id != ticket_id]
        if self.picture.take(ticket_id) is not None:
            self._changed.discard(ticket_id)

    def set_free_slots(self, free: Mapping[str, int] | None) -> None:
        """Say how many slots are free in each region (a server without one counts as ""); None: more than enough."""
        if self.slots.set(free):
            self._changed.update(self.picture.slots)

    @property
    def next_look(self) -> float:
        """When something changes for a waiting ticket by its age alone; infinite if nothing will."""
        return self._looks[0][0] if self._looks else inf

    def close(self, region: str) -> None:
        """Propose nothing to a region for now: a match of it found no slot."""
        self.slots.closed.add(region)

    def open(self, region: str) -> None:
        """Propose to the region again."""
        self.slots.closed.discard(region)
        self._changed.update(self.picture.slots)

    def tick(self, now: float) -> Iterator[Proposal | None]:
        """The proposals of this moment. Their tickets leave the picture; one that was refused is to be added again.

        Yields None at moments when others may run; changes made in between count from the next tick on.
        """
        while self._looks and self._looks[0][0] <= now:
            ticket_id = heapq.heappop(self._looks)[1]
            if ticket_id in self.picture.slots:
                self._changed.add(ticket_id)
        if not self.slots.any_open or not (self._changed or self._private):
            return
        self._buffered = []
        changed, self._changed = self._changed, set()
        try:
            yield from self._privates(now)
            yield from self._searched(changed, now)
        finally:
            buffered, self._buffered = self._buffered, None
            for change in buffered:
                if isinstance(change, Ticket):
                    self.add(change)
                else:
                    self.remove(change)

    def _privates(self, now: float) -> Iterator[Proposal]:
        waiting, self._private = sorted(self._private, key=lambda entry: entry.seniority), []
        for entry in waiting:
            proposal = self._taken(self._groups.private(entry, now))
            if proposal is None:
                self._private.append(entry)
            else:
                yield proposal

    def _searched(self, changed: set[str], now: float) -> Iterator[Proposal | None]:
        for found in self._search.search([self.picture.slots[ticket_id] for ticket_id in changed], now):
            if found is None:
                yield None
                continue
            proposal = self._taken(found) if self._groups.still(found) else None
            if proposal is not None:
                yield proposal
                continue
            for entry in found.entries:  # no slot was left for it: looked at again when there is
                self.picture.put(entry)
                self._changed.add(entry.ticket.ticket_id)
        looks = dict(self._search.looks)
        for ticket_id in (changed | looks.keys()) & self.picture.slots.keys():
            entry = self.picture.entry(self.picture.slots[ticket_id])
            at = self._next_look(entry, now, looks.get(ticket_id))
            if at is not None:
                heapq.heappush(self._looks, (at, ticket_id))

    def _taken(self, group: Group | None) -> Proposal | None:
        """The proposal of a group, and its slot counted as taken; None if it is none or there is no slot."""
        if group is None or not self.slots.any_open:
            return None
        proposal = self._groups.proposal(group)
        self.slots.take(proposal.region)
        return proposal

    def _next_look(self, entry: Entry, now: float, wanted: float | None) -> float | None:
        """When the ticket's age next changes what it accepts. What widens by the second is looked at when `wanted`."""
        age = now - entry.enqueued_at
        ages = [self.mode.fill_seconds] if self.mode.least_players < self.mode.players else []
        if wanted is not None:
            ages.append(max(wanted - entry.enqueued_at, age + ROUNDING_SECONDS))
        for number, rule in enumerate(self.mode.rules or ()):
            if isinstance(rule, Rematch):  # whom it met is forgotten one by one
                ages.extend(at + rule.within_seconds - entry.enqueued_at for _, at in entry.facts[number])
            if rule.optional_after_seconds is not None:
                ages.append(rule.optional_after_seconds)
            if isinstance(rule, Difference | TeamDifference | Latency | PartyBalance):
                ages.extend(rule.changes())
                if wanted is None and rule.widen_per_second is not None and rule.limit(age) < (rule.up_to or inf):
                    ages.append(age + max(self._search.first_look_seconds, self._search.look_share * age))
        following = [entry.enqueued_at + next_age + ROUNDING_SECONDS for next_age in ages if next_age > age]
        return min(following, default=None)


def propose(
    tickets: Iterable[Ticket], now: float, mode: GameMode, *, free_slots: Mapping[str, int] | None = None
) -> list[Proposal]:
    """The matches of these tickets, by the rules of a mode.

    Args:
        tickets: All that waits in the mode.
        now: Seconds since the epoch, on the clock of the tickets' `enqueued_at`.
        mode: A mode that is formed by rules.
        free_slots: How many matches the servers of each region can take; None: as many as there are.
    """
    proposer = Proposer(mode)
    for ticket in sorted(tickets, key=lambda ticket: ticket.seniority):
        proposer.add(ticket)
    proposer.set_free_slots(free_slots)
    return [proposal for proposal in proposer.tick(now) if proposal is not None]
