"""What operators see of one player."""

import pytest

from match_server.store.operators import PlayerStatus
from tests.store.pool import Pool


def test_a_player_without_a_record(pool: Pool) -> None:
    with pool.nothing_changes():
        assert pool.player("ann") is None


def test_a_player_in_every_state_and_since_when(pool: Pool) -> None:
    pool.register("s1", capacity=4)
    pool.enqueue("ann")
    began = seen(pool)
    assert (began.state, began.loading_session_id, began.session_id) == ("queued", None, None)
    assert (began.game_mode, began.node, began.connected, began.held) == ("duel", "n1", True, False)
    assert began.since == began.enqueued_at
    pool.move_clock(10)
    assert 10 <= seen(pool).since_seconds < 11

    pool.enqueue("bob")
    pool.match()
    session = pool.session_of("ann")
    assert_just_now(seen(pool), "loading")
    pool.move_clock(10)
    assert 10 <= seen(pool).since_seconds < 11

    pool.ready("ann")
    assert seen(pool).state == "loading"
    order = pool.ready("bob").order
    assert order is not None
    assert_just_now(seen(pool), "allocating")
    pool.move_clock(5)
    assert 5 <= seen(pool).since_seconds < 6

    pool.confirm(order, session_id="theirs")
    matched = seen(pool)
    assert_just_now(matched, "matched")
    assert (matched.loading_session_id, matched.session_id) == (session, "theirs")
    assert matched.since - matched.enqueued_at == pytest.approx(25, abs=1)


def test_who_is_put_back_is_queued_since_then_with_its_first_enqueue(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.move_clock(10)
    pool.leave("bob")

    back = seen(pool)

    assert_just_now(back, "queued")
    assert back.since - back.enqueued_at == pytest.approx(10, abs=1)


def test_what_began_is_never_shown_before_its_enqueue(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.leave("bob")

    pool.move_clock(-50)  # nobody swept for so long, later

    assert seen(pool).since >= seen(pool).enqueued_at


def test_a_broken_record_is_shown_as_far_as_it_goes(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.redis("DEL", f"{pool.prefix}loading:{session}")

    assert (seen(pool).state, seen(pool).since) == ("loading", seen(pool).enqueued_at)


def test_who_is_put_back_after_a_loss_of_data_has_waited_since_its_enqueue(pool: Pool) -> None:
    pool.enqueue("ann")
    told, before = pool.record("ann"), seen(pool)
    pool.lose_everything()
    pool.reassert(
        "ann", seq=int(told["seq"]), claimed=int(told["seq"]), enqueued_at=told["enqueued_at"], epoch="before"
    )

    assert seen(pool).since == pytest.approx(before.enqueued_at, abs=1)


def test_a_match_is_since_when_it_was_found_and_not_since_a_resume(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")
    pool.move_clock(40)
    pool.redis("PEXPIRE", f"{pool.prefix}player:ann", 90_000)  # as it is half a minute after the match

    pool.resume("ann", connection="ann/2")

    assert 30 <= seen(pool).since_seconds < 31


def test_a_player_whose_link_is_lost_is_held(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")

    assert (seen(pool).connected, seen(pool).held) == (False, True)


def seen(pool: Pool) -> PlayerStatus:
    with pool.nothing_changes():
        status = pool.player("ann")
    assert status is not None
    return status


def assert_just_now(status: PlayerStatus, state: str) -> None:
    assert status.state == state
    assert 0 <= status.since_seconds < 1
