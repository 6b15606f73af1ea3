"""Matches of two single tickets: which pairs to form, for all tickets at once.

Of all sets of allowed pairs the one with the most pairs is taken, and of those the cheapest; where a second has a price
(`second_is_worth`), the set that saves most. Up to `EXACT` tickets that hang together it is exact. Beyond, the line is
cut into overlapping pieces, each of which is exact.

Tickets lie in a line, by value. What makes an exact answer cheap for a crowd: where all neighbours in a stretch of the
line accept each other and only their difference counts, pairing neighbours is the optimum, and of an odd number one is
left out (`_neighbours`). Windows that differ break this, so everything else is left to a general matching (rustworkx).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import rustworkx

from match_server.matching.limits import Floats, Slots

EXACT = 300
PIECE, OVERLAP = 96, 32
MARGIN = 16
SCALE = 1e6  # weights are whole numbers to the matching


class Edges(NamedTuple):
    """Pairs that are allowed, by their tickets' places in the line: `one` stands before `other`."""

    one: Slots
    other: Slots
    costs: Floats  # what the pair costs by the rules; negative: what it saves


def most_pairs(edges: Edges, waited: Floats, *, plain: bool) -> Iterator[list[tuple[int, int]]]:
    """The most pairs, and of those the cheapest: the costs less the credits of those who are paired.

    Args:
        edges: The allowed pairs.
        waited: For each place in the line what its ticket's waiting counts.
        plain: Whether a pair's cost is its distance in the line, times a factor.

    Yields:
        Pairs of places; between two of these the caller may do something else.
    """
    for first, last in _stretches(edges, len(waited)):
        inside = _between(edges, first, last)
        found = _neighbours(inside, waited[first:last], first) if plain else None
        if found is not None:
            yield found
            continue
        if plain and last - first > EXACT:
            runs, inside = _long_runs(inside, last - first, first)
            yield runs
        if len(inside.one):
            gains = waited[inside.one] + waited[inside.other] - inside.costs
            yield from _matched(inside, gains - gains.min() + 1.0, last - first, cardinality=True)


def most_saved(edges: Edges, places: int) -> Iterator[list[tuple[int, int]]]:
    """The set of pairs that saves most; the costs are negative. Yields as `most_pairs`."""
    for first, last in _stretches(edges, places):
        inside = _between(edges, first, last)
        yield from _matched(inside, -inside.costs, last - first, cardinality=False)


def _stretches(edges: Edges, places: int) -> Iterator[tuple[int, int]]:
    """The parts of the line that no pair leads out of: first place, and the place behind the last."""
    if not len(edges.one):
        return
    cover = np.zeros(places + 1, dtype=np.int64)
    np.add.at(cover, edges.one, 1)
    np.add.at(cover, edges.other, -1)
    covered = np.cumsum(cover[:-1]) > 0  # whether a pair reaches from this place over the next
    changes = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(np.int8)))
    for first, last in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
        yield first, last + 1


def _between(edges: Edges, first: int, last: int) -> Edges:
    start, stop = np.searchsorted(edges.one, [first, last])
    return Edges(edges.one[start:stop], edges.other[start:stop], edges.costs[start:stop])


def _neighbours(edges: Edges, waited: Floats, first: int) -> list[tuple[int, int]] | None:
    """Pair neighbours; None if that may not be the optimum, because some neighbours do not accept each other."""
    near = np.full(len(waited) - 1, np.nan)
    beside = edges.other - edges.one == 1
    near[edges.one[beside] - first] = edges.costs[beside]
    if np.isnan(near).any():
        return None
    if len(waited) % 2 == 0:
        return [(place, place + 1) for place in range(first, first + len(waited), 2)]
    # Whoever is left out at an even place splits the line into neighbours before and behind it. At an odd place the
    # two beside it become a pair; then everybody else could be left out instead at no higher cost but for the credit.
    before = np.concatenate([[0.0], np.cumsum(near[0::2])])
    behind = np.concatenate([np.cumsum(near[1::2][::-1])[::-1], [0.0]])
    even = before + behind + waited[0::2]
    odd = before[:-1] + near[0::2] + near[1::2] + behind[1:] + waited[1::2]
    if odd.min() < even.min():
        return None
    left_out = 2 * (len(even) - 1 - int(np.argmin(even[::-1])))
    places = [place for place in range(len(waited)) if place != left_out]
    return [(first + one, first + other) for one, other in zip(places[0::2], places[1::2], strict=True)]


def _long_runs(edges: Edges, places: int, first: int) -> tuple[list[tuple[int, int]], Edges]:
    """Pair neighbours inside long runs of the line in which all accept each other; the edges of everybody else."""
    near = np.full(places - 1, np.nan)
    beside = edges.other - edges.one == 1
    near[edges.one[beside] - first] = edges.costs[beside]
    joined = np.flatnonzero(np.diff(np.concatenate([[False], ~np.isnan(near), [False]]).astype(np.int8)))
    pairs: list[tuple[int, int]] = []
    for start, stop in zip(joined[::2].tolist(), joined[1::2].tolist(), strict=True):
        low, high = (
            start + MARGIN,
            stop + 1 - MARGIN,
        )  # tickets from `low` up to `high`; the ends are left to be matched
        high -= (high - low) % 2
        if high - low >= MARGIN:
            other_way = near[low + 1 : high - 2 : 2].sum() < near[low : high - 1 : 2].sum()
            low, high = (low + 1, high - 1) if other_way else (low, high)
            pairs += [(first + place, first + place + 1) for place in range(low, high, 2)]
    taken = np.zeros(places, dtype=bool)
    taken[np.array(pairs, dtype=np.int64).ravel() - first] = True
    left = ~(taken[edges.one - first] | taken[edges.other - first])
    return pairs, Edges(edges.one[left], edges.other[left], edges.costs[left])


def _matched(edges: Edges, gains: Floats, places: int, *, cardinality: bool) -> Iterator[list[tuple[int, int]]]:
    """A maximum-weight matching; `gains` are positive."""
    weights = np.round(gains * SCALE).astype(np.int64) + 1
    triples = list(zip(edges.one.tolist(), edges.other.tolist(), weights.tolist(), strict=True))
    if places <= EXACT:
        yield _blossom(triples, cardinality=cardinality)
        return
    taken: set[int] = set()
    first = int(edges.one[0])
    end = first + places
    low = first
    while low < end:
        high = low + PIECE
        piece = [
            (one, other, weight)
            for one, other, weight in triples[
                int(np.searchsorted(edges.one, low - OVERLAP)) : int(np.searchsorted(edges.one, high))
            ]
            if other < high and one not in taken and other not in taken
        ]
        found = _blossom(piece, cardinality=cardinality)
        sure = end if high >= end else high - OVERLAP
        kept = [pair for pair in found if pair[0] < sure]
        taken.update(place for pair in kept for place in pair)
        yield kept
        low = sure
    # Pairs that reach over more than a piece, and what the pieces' edges left.
    rest = [triple for triple in triples if triple[0] not in taken and triple[1] not in taken]
    for one, other, _ in sorted(rest, key=lambda triple: -triple[2]):
        if one not in taken and other not in taken:
            taken.update((one, other))
            yield [(one, other)]


def _blossom(triples: list[tuple[int, int, int]], *, cardinality: bool) -> list[tuple[int, int]]:
    """The library's matching of these pairs, in the order of the line."""
    if not triples:
        return []
    names = sorted({place for triple in triples for place in triple[:2]})
    node = {place: number for number, place in enumerate(names)}
    graph = rustworkx.PyGraph[int, int](multigraph=False)
    graph.add_nodes_from(names)
    graph.add_edges_from([(node[one], node[other], weight) for one, other, weight in triples])
    matched = rustworkx.max_weight_matching(graph, max_cardinality=cardinality, weight_fn=int)
    return sorted((names[min(pair)], names[max(pair)]) for pair in matched)
