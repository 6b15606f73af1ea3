"""Which pairs of waiting tickets are allowed, looked for where something changed and nowhere else."""

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

from match_server.matching.limits import Mask, Slots
from match_server.matching.picture import Picture

EXACT = 300  # up to so many tickets every pair is looked at
CROWD = 512  # so many changed tickets are looked at all at once, along the whole line
BESIDE = 8  # how far along the line, then
REACH = 48  # how many places to each side of one changed ticket, at first
SLICE = 16_384  # pairs looked at between two chances for others to run


class SlotPairs(NamedTuple):
    """Pairs of slots."""

    one: Slots
    other: Slots


def allowed_pairs(picture: Picture, changed: Slots, now: float) -> Generator[None, None, SlotPairs]:
    """The allowed pairs with at least one of the changed tickets.

    Up to `EXACT` tickets these are all. Beyond, each ticket has its nearest ones, and more until it has an allowed one.
    Yields at moments when others may run.
    """
    order = picture.order()
    place = np.zeros(len(picture.entries), dtype=np.int64)
    place[order] = np.arange(len(order))
    places = np.sort(place[changed])
    if len(order) <= EXACT:
        found = yield from _looked_at(picture, _all_with(places, len(order)), order, now)
    elif len(changed) > CROWD:
        is_changed = np.zeros(len(order), dtype=bool)
        is_changed[places] = True
        parts = []
        for step in range(1, BESIDE + 1):
            one = np.arange(len(order) - step)
            one = one[is_changed[one] | is_changed[one + step]]
            parts.append((yield from _looked_at(picture, (one, one + step), order, now)))
        found = _joined(parts)
        has_one = np.zeros(len(order), dtype=bool)
        has_one[place[found.one]] = has_one[place[found.other]] = True
        more = yield from _around(picture, places[~has_one[places]], order, now, first_reach=2 * BESIDE)
        found = _joined([found, more])
    else:
        found = yield from _around(picture, places, order, now, first_reach=REACH)
    return found


def _around(
    picture: Picture, places: Slots, order: Slots, now: float, *, first_reach: int
) -> Generator[None, None, SlotPairs]:
    """The allowed pairs with the nearest tickets to both sides; further to both sides for those that find none."""
    parts: list[SlotPairs] = []
    reach = first_reach
    while len(places):
        looking = np.zeros(len(order), dtype=bool)
        looking[places] = True
        at_once = max(1, SLICE // (2 * reach))
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            beside = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
            one, other = np.repeat(some, len(beside)), (some[:, None] + beside).ravel()
            inside = (other >= 0) & (other < len(order))
            # Two that both look for a partner find each other once.
            inside[inside] &= ~(looking[other[inside]] & (other[inside] < one[inside]))
            part = yield from _looked_at(picture, (one[inside], other[inside]), order, now)
            parts.append(part)
        found = np.zeros(len(picture.entries), dtype=bool)
        for part in parts:
            found[part.one] = found[part.other] = True
        places = places[~found[order[places]]]
        places = places[_goes_on(picture, places, order, now, reach)]
        reach *= 4
    return _joined(parts)


def _goes_on(picture: Picture, places: Slots, order: Slots, now: float, reach: int) -> Mask:
    """Whether the line goes on, beyond this reach, with tickets that a ticket's own window could take."""
    values, groups = picture.line().values, picture.line().groups
    if len(values) != len(order):  # some have gone from the line since
        values, groups = picture.values[order], picture.groups[order]
    windows = picture.windows(order[places], now)
    goes_on = np.zeros(len(places), dtype=bool)
    for far in (places - reach, places + reach):
        inside = (far >= 0) & (far < len(order))
        at = np.clip(far, 0, len(order) - 1)
        near_enough = np.abs(values[at] - values[places]) <= windows
        goes_on |= inside & near_enough & (groups[at] == groups[places])
    return goes_on


def _all_with(places: Slots, count: int) -> tuple[Slots, Slots]:
    """Every pair of places with at least one of these."""
    one, other = np.repeat(places, count), np.tile(np.arange(count), len(places))
    is_one = np.zeros(count, dtype=bool)
    is_one[places] = True
    keep = (one < other) | ((one > other) & ~is_one[other])
    return one[keep], other[keep]


def _looked_at(
    picture: Picture, pairs: tuple[Slots, Slots], order: Slots, now: float
) -> Generator[None, None, SlotPairs]:
    """Those of the pairs of places that are allowed."""
    one, other = np.minimum(*pairs), np.maximum(*pairs)
    parts = []
    for start in range(0, len(one), SLICE):
        first, second = order[one[start : start + SLICE]], order[other[start : start + SLICE]]
        mask = picture.allowed(first, second, now)
        parts.append(SlotPairs(first[mask], second[mask]))
        yield
    return _joined(parts)


def _joined(parts: list[SlotPairs]) -> SlotPairs:
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return SlotPairs(empty, empty)
    return SlotPairs(np.concatenate([part.one for part in parts]), np.concatenate([part.other for part in parts]))
