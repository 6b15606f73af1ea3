"""The waiting tickets of one mode, in columns: which two of them accept each other, for many pairs at once."""

from bisect import bisect_left, insort
from collections.abc import Callable, Container, Hashable
from typing import NamedTuple

import numpy as np

from match_server.matching.columns import (
    Column,
    CompanyColumn,
    LatencyColumn,
    SameColumns,
    SpanColumn,
    column_of,
    longer,
)
from match_server.matching.entries import Entry
from match_server.matching.limits import Floats, Mask, Slots, limits
from match_server.matching.modes import GameMode
from match_server.matching.rules import Same

FIRST_SLOTS = 256
MOST_GONE = 64  # so many tickets may be gone from the line before it is closed up


class Line(NamedTuple):
    """Slots in line, and beside each the group outside of which `same` allows it nobody, and its value."""

    slots: Slots
    groups: Slots
    values: Floats


class Picture:
    """All tickets that wait and can be matched. A slot is a ticket's place in the columns."""

    def __init__(self, mode: GameMode, *, is_open: Callable[[str], bool], keeps_alike: bool) -> None:
        """`is_open` says whether a region has a free slot on a server; `keeps_alike`: `oldest_alike` will be asked."""
        self._keeps_alike = keeps_alike
        self.entries: list[Entry | None] = []
        self.slots: dict[str, int] = {}  # by ticket_id
        self.enqueued = np.zeros(0)
        self.values = np.zeros(0)
        self.alive = np.zeros(0, dtype=bool)
        self._free: list[int] = []
        same = [(number, rule) for number, rule in enumerate(mode.rules or ()) if isinstance(rule, Same)]
        self._same = SameColumns(self, same)
        self.columns: dict[int, Column] = {}  # by the number of the rule; `same` is one column for all of that kind
        for number, rule in enumerate(mode.rules or ()):
            column = self._same if isinstance(rule, Same) else column_of(self, number, rule, mode, is_open)
            if column is not None:
                self.columns[number] = column
        self._columns: list[Column] = list(dict.fromkeys([*([self._same] if same else []), *self.columns.values()]))
        self._droppers = [column for column in self._columns if not isinstance(column, SpanColumn | CompanyColumn)]
        self._priced = [column for column in self._columns if isinstance(column, SpanColumn | LatencyColumn)]
        self._line: Line | None = None
        self._gone = 0  # tickets in the line that were taken out since
        self._alike: dict[Hashable, list[tuple[float, str]]] = {}  # the seniority of tickets that are alike, in order

    def __len__(self) -> int:
        """How many tickets wait."""
        return len(self.slots)

    def entry(self, slot: int) -> Entry:
        """The ticket in a slot that is taken."""
        entry = self.entries[slot]
        if entry is None:
            raise KeyError(slot)
        return entry

    def put(self, entry: Entry) -> int:
        """Take a ticket in; its slot."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self.entries[slot] = entry
        self.slots[entry.ticket.ticket_id] = slot
        self.enqueued[slot], self.values[slot], self.alive[slot] = entry.enqueued_at, entry.value, True
        for column in self._columns:
            column.put(slot, entry)
        if self._keeps_alike:
            insort(self._alike.setdefault(entry.alike, []), entry.seniority)
        self._line = None
        return slot

    def take(self, ticket_id: str) -> Entry | None:
        """Take a ticket out; None if it is not there."""
        slot = self.slots.pop(ticket_id, None)
        if slot is None:
            return None
        entry, self.entries[slot] = self.entries[slot], None
        if entry is not None:
            for column in self._droppers:
                column.drop(slot, entry)
        if entry is not None and self._keeps_alike:
            alike = self._alike[entry.alike]
            del alike[bisect_left(alike, entry.seniority)]
            if not alike:
                del self._alike[entry.alike]
        self.alive[slot] = False
        self._gone += 1
        self._free.append(slot)
        return entry

    def order(self) -> Slots:
        """The taken slots, in line."""
        slots = self.line().slots
        return slots[self.alive[slots]]

    def line(self) -> "Line":
        """All tickets in line, and perhaps some that were taken out since: by group, value and age."""
        if self._line is None:
            slots = np.flatnonzero(self.alive)
            groups, values = self._same.groups[slots], self.values[slots]
            order = np.lexsort((self.enqueued[slots], values, groups))
            self._line = Line(slots[order], groups[order], values[order])
            self._gone = 0
        elif self._gone > MOST_GONE:
            slots, groups, values = self._line
            left = self.alive[slots]
            self._line = Line(slots[left], groups[left], values[left])
            self._gone = 0
        return self._line

    def near(self, slot: int, reach: int, *, by_value: bool) -> tuple[Slots, bool]:
        """Other tickets near one in the line, or the oldest, up to `reach` to both sides together.

        The second part says whether these are all that `same` could ever allow it.
        """
        line = self.line()
        group = self._same.groups[slot]
        low, high = (int(np.searchsorted(line.groups, group, side)) for side in ("left", "right"))
        first, last = low, min(high, low + 2 * reach)
        if by_value:
            here = low + int(np.searchsorted(line.values[low:high], self.values[slot]))
            first, last = max(low, here - reach), min(high, here + reach + 1)
        slots = line.slots[first:last]
        return slots[self.alive[slots] & (slots != slot)], first == low and last == high

    @property
    def groups(self) -> Slots:
        """For each slot the group outside of which `same` allows it nobody, now or later."""
        return self._same.groups

    def windows(self, slots: Slots, now: float) -> Floats:
        """How far from these single tickets' own values another may be; infinite where no window says so."""
        first = next((column for column in self._columns if isinstance(column, SpanColumn)), None)
        if first is None or first.rule.age == "oldest":
            return np.full(len(slots), np.inf)
        return limits(first.rule, now - self.enqueued[slots])

    def oldest_alike(self, entry: Entry, without: Container[str]) -> Entry:
        """The oldest ticket that the rules cannot tell from this one and that is not among `without`; else this one."""
        for at, ticket_id in self._alike[entry.alike]:
            if (at, ticket_id) >= entry.seniority:
                break
            if ticket_id not in without:
                return self.entry(self.slots[ticket_id])
        return entry

    def allowed(self, one: Slots, other: Slots, now: float) -> Mask:
        """For each pair of slots, whether every rule that can be told of two tickets allows it."""
        mask = np.ones(len(one), dtype=bool)
        for column in self._columns:
            # A later rule looks only at what the earlier ones left: most pairs fall at the first.
            left = np.flatnonzero(mask)
            if not len(left):
                break
            mask[left] = column.allows(one[left], other[left], now)
        return mask

    def costs(self, one: Slots, other: Slots) -> Floats:
        """For each pair of slots, the sum of the rules' values over their limits before any widening."""
        total = np.zeros(len(one))
        for column in self._priced:
            total += column.scale * column.values(one, other)
        return total

    def values_by(self, number: int, one: Slots, other: Slots) -> Floats:
        """The value of one rule that has values, for each pair of slots."""
        column = self.columns[number]
        if not isinstance(column, SpanColumn | LatencyColumn):
            raise TypeError(number)
        return column.values(one, other)

    @property
    def plain(self) -> bool:
        """Whether a pair's cost is the difference of its values, times a factor."""
        attributes = {column.attribute for column in self._priced}
        return len(attributes) <= 1 and not any(isinstance(column, LatencyColumn) for column in self._priced)

    def _grow(self) -> None:
        old = len(self.entries)
        new = max(2 * old, FIRST_SLOTS)
        self.entries.extend([None] * (new - old))
        self.enqueued, self.values = longer(self.enqueued, new), longer(self.values, new)
        self.alive = longer(self.alive, new)
        for column in {self._same, *self._columns}:
            column.grow(new)
        self._free.extend(range(new - 1, old - 1, -1))
