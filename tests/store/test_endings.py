"""Each way in which a player leaves or a match is cancelled is told to the node that ran the script, once."""

import pytest

from match_server.events.node import MatchCancelled, PlayerDequeued
from match_server.store.tickets import Part
from tests.store.pool import ATTEMPTS, GRACE_SECONDS, LEASE_SECONDS, LOADING_SECONDS, WAIT_SECONDS, Pool, scripts


def pass_time(pool: Pool, seconds: float) -> None:
    pool.move_clock(seconds)
    pool.renew()


def test_a_player_leaves_the_queue_and_repeats_it(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.leave("ann")
    pool.leave("ann")
    assert pool.ended() == [PlayerDequeued("ann", "duel", "requested", None, "")]


def test_a_player_leaves_a_match_that_loads(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob", "cid", mode="trio")
    pool.leave("ann")
    assert pool.ended() == [
        PlayerDequeued("ann", "trio", "requested", session, ""),
        MatchCancelled(session, "trio", "player_left", ("ann",), 2),
    ]


def test_the_grace_of_a_player_ends_while_it_loads(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.hold("ann")
    pass_time(pool, GRACE_SECONDS + 1)
    pool.sweep()
    assert pool.ended() == [
        PlayerDequeued("ann", "duel", "disconnected", session, ""),
        MatchCancelled(session, "duel", "player_left", ("ann",), 1),
    ]


def test_a_player_does_not_load_in_time(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.ready("ann")
    pass_time(pool, LOADING_SECONDS + 1)
    pool.sweep()
    assert pool.ended() == [
        PlayerDequeued("bob", "duel", "loading_timeout", session, ""),
        MatchCancelled(session, "duel", "loading_timeout", ("bob",), 1),
    ]


def test_a_player_waits_past_the_limit_of_its_queue(pool: Pool) -> None:
    pool.enqueue("ann")
    pass_time(pool, 61)
    pool.sweep(queue_timeout=60)
    assert pool.ended() == [PlayerDequeued("ann", "duel", "queue_timeout", None, "")]


def test_a_party_leaves_with_its_member(ranked: Pool) -> None:
    part = Part(party_id="p", party_size=2)
    ranked.enqueue("ann", "bob", mode="ranked", part=part)
    ranked.leave("ann")
    assert ranked.ended() == [
        PlayerDequeued("ann", "ranked", "requested", None, ""),
        PlayerDequeued("bob", "ranked", "party_left", None, "ann"),
    ]


def test_a_match_finds_no_slot_in_time(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.fail(order, "error")  # it waits for another server
    pass_time(pool, WAIT_SECONDS + 1)
    pool.sweep()
    assert pool.ended() == [MatchCancelled(order.loading_session_id, "duel", "allocation_failed", (), 2)]


def test_a_match_that_two_servers_refuse_as_wrong_blames_no_player(pool: Pool) -> None:
    pool.register("s1")
    pool.register("s2")
    order = pool.allocating("ann", "bob")
    _, again = pool.fail(order, "wrong")
    assert again
    assert pool.fail(again, "wrong")[0] == "refused"
    session = order.loading_session_id
    assert pool.ended() == [
        PlayerDequeued("ann", "duel", "refused", session, ""),
        PlayerDequeued("bob", "duel", "refused", session, ""),
        MatchCancelled(session, "duel", "allocation_failed", (), 0),
    ]


def test_a_match_whose_players_have_all_left_is_given_up_when_it_is_to_be_placed_again(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    order = pool.allocating("ann", "bob")
    for player in ("ann", "bob"):
        pool.leave(player, reason="disconnected")
    assert pool.fail(order, "error")[0] == "left"
    ended = pool.ended()
    assert ended[-1] == MatchCancelled(order.loading_session_id, "duel", "player_left", ("ann", "bob"), 0)


def test_a_match_whose_last_server_is_gone_is_given_up_by_whoever_adopts_it(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.redis("HSET", f"{pool.prefix}loading:{order.loading_session_id}", "#attempt", ATTEMPTS)
    pool.redis("DEL", f"{pool.prefix}reserved:s1")
    pass_time(pool, LEASE_SECONDS + 1)
    assert pool.adopt() == []
    assert pool.ended() == [MatchCancelled(order.loading_session_id, "duel", "allocation_failed", (), 2)]


def test_a_match_that_redis_has_back_after_it_was_over_is_lost(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    seq = int(pool.record("ann")["seq"])
    pool.reassert("ann", seq=seq + 1, state="queued")
    assert pool.ended() == [MatchCancelled(session, "duel", "state_lost", (), 1)]


@pytest.mark.parametrize("name", sorted(name for name, script in scripts().items() if script.ends_something))
def test_each_script_that_can_end_something_says_so(name: str) -> None:
    assert "return with_endings(" in scripts()[name].text
