"""The clairvoyant optimum: what pairs cost somebody who knows all arrivals of a trace in advance."""

from collections.abc import Sequence
from math import inf, sqrt

import rustworkx

from match_server.simulate.arrivals import Arrival

REACH = 6.0  # times the usual cost: no pair of the optimum is dearer, but far from the middle


def clairvoyant_cost(arrivals: Sequence[Arrival], price: float) -> float:
    """The mean cost of a pair, |difference| + price · (both waits), if pairs are chosen with all arrivals known.

    Those who give up are left out. Each pair is formed when its second player arrives.
    """
    players: list[tuple[float, float]] = []
    for arrival in arrivals:
        rating = arrival.ticket.members[0].attributes["rating"]
        if arrival.cancel_at == inf and isinstance(rating, float):
            players.append((arrival.ticket.enqueued_at, rating))
    usual = sqrt(price * 750 * players[-1][0] / len(players))
    graph = rustworkx.PyGraph[int, int](multigraph=False)
    graph.add_nodes_from(list(range(len(players))))
    for one, (at, rating) in enumerate(players):
        reach = REACH * usual * (1 + ((rating - 1500) / 300) ** 2)
        for other in range(one + 1, len(players)):
            wait = price * (players[other][0] - at)
            if wait >= reach:
                break
            cost = abs(players[other][1] - rating) + wait
            if cost < reach:
                graph.add_edge(one, other, int(1e7 - cost * 1000))
    pairs = rustworkx.max_weight_matching(graph, max_cardinality=True, weight_fn=int)
    total = sum(
        abs(players[one][1] - players[other][1]) + price * abs(players[one][0] - players[other][0])
        for one, other in pairs
    )
    return float(total / len(pairs))
