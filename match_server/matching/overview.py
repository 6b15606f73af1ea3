"""What a mode's rules do to its whole queue now: how far the windows of those who wait are open."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from match_server.matching.limits import limits
from match_server.matching.propose import Proposer
from match_server.matching.recent import percentiles
from match_server.matching.rules import Difference, Latency, PartyBalance, TeamDifference


def overview(proposer: Proposer, now: float) -> Mapping[str, Any]:
    """The windows in use, by rule, and with `second_is_worth` the differences that are worth taking now.

    Args:
        proposer: Of the mode.
        now: Seconds since the epoch, on the clock of the tickets' `enqueued_at`.
    """
    picture = proposer.picture
    slots = picture.order()
    ages = now - picture.enqueued[slots]
    windows = []
    for rule in proposer.mode.rules or ():
        if isinstance(rule, Difference | TeamDifference | Latency | PartyBalance):
            found = limits(rule, ages)
            windows.append(
                {
                    "kind": rule.kind,
                    "attribute": getattr(rule, "attribute", None),
                    "limit": percentiles(found),
                    "no_longer_asked": int(np.isinf(found).sum()),
                }
            )
    return {"windows": windows, "acceptable_difference": _acceptable(proposer, now)}


def _acceptable(proposer: Proposer, now: float) -> Mapping[str, float] | None:
    if proposer.patience is None:
        return None
    picture = proposer.picture
    slots = picture.order()
    acceptable = proposer.patience.acceptable(picture.values[slots], now)
    if acceptable is None:
        return None
    sizes = np.array([picture.entry(int(slot)).size for slot in slots])
    return percentiles(acceptable + proposer.patience.growth * sizes * (now - picture.enqueued[slots]))
