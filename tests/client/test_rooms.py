"""What the ledger makes of what players saw."""

import pytest

from test_client.rooms import Histogram, RoomLedger, Visit


@pytest.fixture
def ledger() -> RoomLedger:
    return RoomLedger()


def visit(ledger: RoomLedger, player_id: str, *, moves: int = 0) -> Visit:
    """A player in the room until second 10, who moves once a second."""
    made = ledger.visit("s", player_id, ("ann", "bob"))
    made.seqs, made.times = list(range(1, moves + 1)), [float(second) for second in range(1, moves + 1)]
    made.left_at = made.seconds = 10.0
    return made


def test_a_late_state_measures_every_move_that_it_brings(ledger: RoomLedger) -> None:
    viewer = visit(ledger, "ann")
    visit(ledger, "bob", moves=3)
    ledger.saw(viewer, "bob", 0, 0.5)
    ledger.saw(viewer, "bob", 1, 1.5)
    ledger.saw(viewer, "bob", 3, 3.25)
    assert ledger.latency.percentiles_ms() == {"count": 3, "p50": 500.0, "p99": 1250.0, "max": 1250.0}


def test_who_misses_a_move_is_named(ledger: RoomLedger) -> None:
    viewer = visit(ledger, "ann")
    visit(ledger, "bob", moves=9)
    ledger.saw(viewer, "bob", 8, 8.5)
    assert list(ledger.missed()) == [("ann", "s: saw bob move to 8, not to 9")]
    ledger.saw(viewer, "bob", 9, 9.5)
    assert list(ledger.missed()) == []


def test_what_is_moved_as_a_player_leaves_need_not_reach_it(ledger: RoomLedger) -> None:
    viewer = visit(ledger, "ann")
    visit(ledger, "bob", moves=10)
    ledger.saw(viewer, "bob", 9, 9.5)
    assert list(ledger.missed()) == []


def test_what_a_player_moves_as_it_leaves_need_not_reach_the_others(ledger: RoomLedger) -> None:
    """Found by a soak: a move and `leave` in one tick, and nobody is sent the move of who is gone."""
    viewer = visit(ledger, "ann")
    mover = visit(ledger, "bob", moves=6)
    mover.left_at = 6.25
    ledger.saw(viewer, "bob", 5, 5.5)
    assert list(ledger.missed()) == []
    ledger.saw(viewer, "bob", 4, 5.5)
    assert list(ledger.missed()) == [("ann", "s: saw bob move to 4, not to 5")]


def test_a_stranger_is_named(ledger: RoomLedger) -> None:
    visit(ledger, "ann").met |= {"bob", "eve"}
    assert list(ledger.missed()) == [("ann", "s: saw eve, who is no player of this match")]


def test_without_a_time_there_are_no_percentiles() -> None:
    assert Histogram().percentiles_ms() is None
