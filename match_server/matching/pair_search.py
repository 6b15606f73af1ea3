"""Matches of two single tickets, looked for around what changed."""

from collections.abc import Iterator, Sequence

import numpy as np

from match_server.matching.entries import Entry
from match_server.matching.groups import CREDIT_PER_SECOND, Group, Groups
from match_server.matching.limits import Floats, Slots
from match_server.matching.near import SlotPairs, allowed_pairs
from match_server.matching.pairs import Edges, most_pairs, most_saved
from match_server.matching.patience import Patience
from match_server.matching.picture import Picture


class PairSearch:
    """Finds pairs among the tickets of a picture."""

    # A window that widens by the second is looked at again after so long, or after that share of the ticket's age.
    first_look_seconds, look_share = 0.5, 0.05

    def __init__(self, picture: Picture, groups: Groups, patience: Patience | None) -> None:
        self._picture, self._groups, self._patience = picture, groups, patience
        self.looks: list[tuple[str, float]] = []  # tickets to look at again, and when

    def search(self, changed: Sequence[int], now: float) -> Iterator[Group | None]:
        """Pairs with the tickets in these slots, the oldest ticket's first; they leave the picture. None: a pause."""
        self.looks = []
        if len(self._picture) < 2 or not changed:
            return
        allowed = yield from allowed_pairs(self._picture, np.array(changed, dtype=np.int64), now)
        order = self._picture.order()
        place = np.zeros(len(self._picture.entries), dtype=np.int64)
        place[order] = np.arange(len(order))
        saved = self._saved(allowed, now)
        found: list[tuple[int, int]] = []
        if saved is None:
            edges = _edges(place, allowed, self._picture.costs(*allowed))
            waited = CREDIT_PER_SECOND * (now - self._picture.enqueued[order])
            for pairs in most_pairs(edges, waited, plain=self._picture.plain):
                found += pairs
                yield None
        else:
            self._look_again(allowed, saved, now)
            worth = saved > 0
            edges = _edges(place, SlotPairs(allowed.one[worth], allowed.other[worth]), -saved[worth])
            for pairs in most_saved(edges, len(order)):
                found += pairs
                yield None
        for one, other in self._oldest_first(order, found):
            group = self._groups.pair(one, other, now)
            if group is not None:
                self._picture.take(one.ticket.ticket_id)
                self._picture.take(other.ticket.ticket_id)
                yield group
        yield None

    def _oldest_first(self, order: Slots, pairs: list[tuple[int, int]]) -> Iterator[tuple[Entry, Entry]]:
        """The tickets of pairs of places in the line."""
        slots = order[np.array(pairs, dtype=np.int64).reshape(-1, 2)]
        oldest = self._picture.enqueued[slots].min(axis=1)
        ones, others = slots[np.argsort(oldest, kind="stable")].T.tolist()
        for one, other in zip(ones, others, strict=True):
            yield self._picture.entry(one), self._picture.entry(other)

    def _saved(self, pairs: SlotPairs, now: float) -> Floats | None:
        """What each pair saves against waiting for a better one; None where every allowed pair is taken."""
        if self._patience is None:
            return None
        middle = (self._picture.values[pairs.one] + self._picture.values[pairs.other]) / 2
        acceptable = self._patience.acceptable(middle, now)
        if acceptable is None:
            return None
        waited = 2 * now - self._picture.enqueued[pairs.one] - self._picture.enqueued[pairs.other]
        value = np.zeros(len(middle))
        for number, weight in self._patience.weights.items():
            value += weight * self._picture.values_by(number, pairs.one, pairs.other)
        return np.asarray(acceptable + self._patience.growth * waited - value)

    def _look_again(self, pairs: SlotPairs, saved: Floats, now: float) -> None:
        """Note when pairs that are not worth it yet will be, for their waiting alone."""
        if self._patience is None:
            return
        soonest: dict[int, float] = {}
        late = np.flatnonzero(saved <= 0)
        at = now + 1e-3 - saved[late] / (2 * self._patience.growth)
        for slot, when in zip(pairs.one[late].tolist(), at.tolist(), strict=True):
            if when < soonest.get(slot, np.inf):
                soonest[slot] = when
        self.looks = [(self._picture.entry(slot).ticket.ticket_id, when) for slot, when in soonest.items()]


def _edges(place: Slots, pairs: SlotPairs, costs: Floats) -> Edges:
    one, other = place[pairs.one], place[pairs.other]
    first, second = np.minimum(one, other), np.maximum(one, other)
    by_place = np.lexsort((second, first))
    return Edges(first[by_place], second[by_place], costs[by_place])
