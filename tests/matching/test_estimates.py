"""How long a ticket has to wait, by the recent waits of tickets like it."""

import pytest

from match_server.matching.estimates import LEAST, RECENT_SECONDS, Likeness, WaitEstimates, likeness
from match_server.matching.modes import GameMode
from tests.matching.pools import mode_of

DUEL = mode_of(players=2, rules=[{"kind": "difference", "attribute": "rating", "max": 50}])


def at(rating: float, size: int = 1) -> Likeness:
    return likeness(DUEL, size, {"rating": rating})


def test_nothing_is_said_before_enough_is_known() -> None:
    estimates = WaitEstimates()
    for wait in range(LEAST - 1):
        estimates.note(at(1500), float(wait), 0.0)
    assert estimates.of(at(1500), 0.0) is None
    estimates.note(at(1500), 10.0, 0.0)
    assert estimates.of(at(1500), 0.0) == 2.0, "the median"


def test_tickets_that_stand_elsewhere_or_are_of_another_size_wait_otherwise() -> None:
    estimates = WaitEstimates()
    for _ in range(LEAST):
        estimates.note(at(1500), 5.0, 0.0)
        estimates.note(at(4000), 90.0, 0.0)
        estimates.note(at(1500, size=2), 30.0, 0.0)
    assert (estimates.of(at(1510), 0.0), estimates.of(at(4010), 0.0)) == (5.0, 90.0)
    assert estimates.of(at(1510, size=2), 0.0) == 30.0
    assert estimates.of(at(0), 0.0) == pytest.approx(47.5), "of a rating that nobody had: all of its size"
    assert estimates.of(at(0, size=3), 0.0) is None


def test_old_waits_do_not_count() -> None:
    estimates = WaitEstimates()
    for _ in range(LEAST):
        estimates.note(at(1500), 5.0, 0.0)
    assert estimates.of(at(1500), RECENT_SECONDS) == 5.0
    assert estimates.of(at(1500), RECENT_SECONDS + 1) is None


@pytest.mark.parametrize("mode", [GameMode("random", 2), mode_of(players=2, rules=[])])
def test_where_nothing_is_compared_all_of_a_size_are_alike(mode: GameMode) -> None:
    assert likeness(mode, 1, {"rating": 1500.0}) == Likeness(mode.name, 1, None)
