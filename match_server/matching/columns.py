"""What each rule reads of every waiting ticket, in columns: which of many pairs it allows."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np

from match_server.matching.checks import unwanted
from match_server.matching.codes import Codes
from match_server.matching.entries import Entry
from match_server.matching.limits import Floats, Mask, Slots, mutual_limits, optional
from match_server.matching.modes import GameMode
from match_server.matching.rules import Apart, Common, Difference, Latency, Rematch, Rule, Same, TeamDifference

MOST_VALUES = 2**40  # no limit: a value costs no column
MOST_ELEMENTS = 511  # of lists, with a bit each; one more bit stands for all others
MOST_REGIONS = 31  # with a column each; one more stands for all others


class Tickets(Protocol):
    """What a column needs of the picture that it belongs to."""

    enqueued: Floats

    def entry(self, slot: int) -> Entry:
        """The ticket in a slot that is taken."""


class Column(Protocol):
    """What one rule reads of every waiting ticket."""

    def grow(self, slots: int) -> None:
        """Have room for so many tickets."""

    def put(self, slot: int, entry: Entry) -> None:
        """Take a ticket in."""

    def drop(self, slot: int, entry: Entry) -> None:
        """The ticket in this slot has gone."""

    def allows(self, one: Slots, other: Slots, now: float) -> Mask:
        """For each of the pairs, whether the rule allows it; where it cannot tell, it does."""


def longer(array: Any, length: int) -> Any:
    """The array with room for more; what is new is zero."""
    longer = np.zeros((length, *array.shape[1:]), dtype=array.dtype)
    longer[: len(array)] = array
    return longer


def column_of(  # noqa: PLR0911 - one for each kind
    picture: Tickets, number: int, rule: Rule, mode: GameMode, is_open: Callable[[str], bool]
) -> Column | None:
    """The column of a rule; None where two tickets alone say nothing, and for `same`, which has one for all."""
    match rule:
        case Difference():
            return SpanColumn(picture, number, rule)
        case TeamDifference() if mode.players == len(mode.teams) == 2:
            return SpanColumn(picture, number, rule)
        case Common():
            return CommonColumn(picture, number, rule)
        case Latency():
            return LatencyColumn(picture, number, rule, is_open)
        case Rematch() if len(mode.teams) > 1 and mode.players > 2 and not rule.with_teammates:
            return None
        case Apart() | Rematch():
            return CompanyColumn(picture, number, rule)
        case _:
            return None


class SpanColumn:
    """`difference`; `team_difference` too, where a team is one player."""

    def __init__(self, picture: Tickets, number: int, rule: Difference | TeamDifference) -> None:
        self._picture, self._number, self.rule = picture, number, rule
        self._low, self._high = np.zeros(0), np.zeros(0)
        self.attribute = rule.attribute
        self.scale = rule.weight / (rule.max or 1.0)

    def grow(self, slots: int) -> None:
        self._low, self._high = longer(self._low, slots), longer(self._high, slots)

    def put(self, slot: int, entry: Entry) -> None:
        fact = entry.facts[self._number]
        self._low[slot], self._high[slot] = min(fact), max(fact)

    def drop(self, slot: int, entry: Entry) -> None:
        pass

    def allows(self, one: Slots, other: Slots, now: float) -> Mask:
        enqueued = self._picture.enqueued
        limit = mutual_limits(self.rule, now - enqueued[one], now - enqueued[other])
        return np.asarray(self.values(one, other) <= limit)

    def values(self, one: Slots, other: Slots) -> Floats:
        high = np.maximum(self._high[one], self._high[other])
        return np.asarray(high - np.minimum(self._low[one], self._low[other]))


class SameColumns:
    """All rules `same` of a mode. Its groups are what they keep apart for ever."""

    def __init__(self, picture: Tickets, rules: list[tuple[int, Same]]) -> None:
        self._picture, self._rules = picture, rules
        self._codes = [np.zeros(0, dtype=np.int64) for _ in rules]
        self.groups = np.zeros(0, dtype=np.int64)
        self._known = Codes(MOST_VALUES)
        self._strict = [number for number, rule in rules if rule.optional_after_seconds is None]

    def grow(self, slots: int) -> None:
        self._codes = [longer(codes, slots) for codes in self._codes]
        self.groups = longer(self.groups, slots)

    def put(self, slot: int, entry: Entry) -> None:
        for (number, _), codes in zip(self._rules, self._codes, strict=True):
            value = entry.facts[number]
            codes[slot] = -1 if value is None else self._known.take(value)
        if self._strict:
            self.groups[slot] = self._known.take(self._group(entry))

    def drop(self, slot: int, entry: Entry) -> None:
        for (number, _), codes in zip(self._rules, self._codes, strict=True):
            if codes[slot] >= 0:
                self._known.drop(entry.facts[number], int(codes[slot]))
        if self._strict:
            self._known.drop(self._group(entry), int(self.groups[slot]))

    def allows(self, one: Slots, other: Slots, now: float) -> Mask:
        mask = np.ones(len(one), dtype=bool)
        enqueued = self._picture.enqueued
        for (_, rule), codes in zip(self._rules, self._codes, strict=True):
            like = (codes[one] == codes[other]) & (codes[one] >= 0)
            mask &= like | (optional(rule, now - enqueued[one]) & optional(rule, now - enqueued[other]))
        return mask

    def _group(self, entry: Entry) -> tuple[Hashable, ...]:
        return ("all of", *(entry.facts[number] for number in self._strict))


class CommonColumn:
    """`common`: a bit for each element that a waiting ticket has."""

    def __init__(self, picture: Tickets, number: int, rule: Common) -> None:
        self._picture, self._number, self._rule = picture, number, rule
        self._bits = np.zeros((0, 1), dtype=np.uint64)
        self._known = Codes(MOST_ELEMENTS)
        self._given: dict[int, list[tuple[str, int]]] = {}  # by slot

    def grow(self, slots: int) -> None:
        self._bits = longer(self._bits, slots)

    def put(self, slot: int, entry: Entry) -> None:
        self._bits[slot] = 0
        first, *others = entry.facts[self._number]
        given = [(element, self._known.take(element)) for element in set(first).intersection(*others)]
        for _, code in given:
            word, bit = divmod(code, 64)
            while word >= self._bits.shape[1]:
                self._bits = np.hstack([self._bits, np.zeros_like(self._bits)])
            self._bits[slot, word] |= np.uint64(1 << bit)
        self._given[slot] = given

    def drop(self, slot: int, entry: Entry) -> None:
        for element, code in self._given.pop(slot):
            self._known.drop(element, code)

    def allows(self, one: Slots, other: Slots, now: float) -> Mask:
        shared = (self._bits[one] & self._bits[other]).any(axis=1)
        enqueued = self._picture.enqueued
        neither = optional(self._rule, now - enqueued[one]) & optional(self._rule, now - enqueued[other])
        return np.asarray(shared | neither)


class LatencyColumn:
    """`latency`: the milliseconds to each region that a waiting ticket names; infinite where a ticket does not."""

    def __init__(self, picture: Tickets, number: int, rule: Latency, is_open: Callable[[str], bool]) -> None:
        self._picture, self._number, self._rule, self._is_open = picture, number, rule, is_open
        self._known = Codes(MOST_REGIONS)
        self._given: dict[int, list[tuple[str, int]]] = {}  # by slot
        self._milliseconds = np.zeros((0, MOST_REGIONS + 1))
        self.attribute = rule.attribute
        self.scale = 1 / (rule.max or 1.0)

    def grow(self, slots: int) -> None:
        self._milliseconds = longer(self._milliseconds, slots)

    def put(self, slot: int, entry: Entry) -> None:
        self._milliseconds[slot] = np.inf
        latencies = entry.facts[self._number]
        given = [(region, self._known.take(region)) for region in latencies]
        for region, place in given:
            self._milliseconds[slot, place] = min(self._milliseconds[slot, place], latencies[region])
        self._given[slot] = given

    def drop(self, slot: int, entry: Entry) -> None:
        for region, place in self._given.pop(slot):
            self._known.drop(region, place)

    def allows(self, one: Slots, other: Slots, now: float) -> Mask:
        enqueued = self._picture.enqueued
        limit = mutual_limits(self._rule, now - enqueued[one], now - enqueued[other])
        mask = limit == np.inf
        for place in self._open_places():
            worst = np.maximum(self._milliseconds[one, place], self._milliseconds[other, place])
            mask |= worst <= limit
        return np.asarray(mask)

    def values(self, one: Slots, other: Slots) -> Floats:
        best = np.full(len(one), np.inf)
        for place in self._open_places():
            worst = np.maximum(self._milliseconds[one, place], self._milliseconds[other, place])
            best = np.minimum(best, worst)
        return np.where(np.isfinite(best), best, 0.0)

    def _open_places(self) -> list[int]:
        places = [place for region, place in self._known.items() if self._is_open(str(region))]
        # Whether one of the many others is open, the check of the whole match says.
        return [*places, self._known.most] if len(self._known) == self._known.most else places


class CompanyColumn:
    """`apart` and `rematch`: few tickets have anything to say, and only their pairs are looked at one by one."""

    def __init__(self, picture: Tickets, number: int, rule: Apart | Rematch) -> None:
        self._picture, self._number, self._rule = picture, number, rule
        self._speaks = np.zeros(0, dtype=bool)

    def grow(self, slots: int) -> None:
        self._speaks = longer(self._speaks, slots)

    def put(self, slot: int, entry: Entry) -> None:
        self._speaks[slot] = bool(entry.facts[self._number])

    def drop(self, slot: int, entry: Entry) -> None:
        pass

    def allows(self, one: Slots, other: Slots, now: float) -> Mask:
        mask = ~(self._speaks[one] | self._speaks[other])
        for pair in np.flatnonzero(~mask):
            first, second = self._picture.entry(int(one[pair])), self._picture.entry(int(other[pair]))
            mask[pair] = not (self._away(first, now) & second.ids or self._away(second, now) & first.ids)
        return mask

    def _away(self, entry: Entry, now: float) -> frozenset[str]:
        return unwanted(entry, self._number, self._rule, now)
