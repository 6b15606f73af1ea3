"""A claim to a player that is carried out long after it was asked for: whoever asked may be gone (docs/races.md, 23).

`late` is a claim of `ann/1`, received before `ann/2` got the player, and carried out after it.
"""

import pytest

from tests.store.pool import SECOND_US, Pool, kinds


def queued_on_the_second(pool: Pool) -> int:
    """Ann has queued on her second connection. Returns the time at which her first one had asked for her."""
    late = pool.redis_us()
    assert pool.enqueue("ann", connection="ann/2", node="n2", asked_us=pool.redis_us()) == ["queued"]
    return late


@pytest.mark.parametrize("state", ["queued", "loading", "allocating", "matched"])
def test_a_late_resume_takes_nothing_from_a_newer_connection(pool: Pool, state: str) -> None:
    pool.register("s1")
    late = queued_on_the_second(pool)
    if state != "queued":
        pool.enqueue("bob")
        pool.match()
    if state in {"allocating", "matched"}:
        pool.ready("bob")
        order = pool.ready("ann", connection="ann/2").order
        assert order
        if state == "matched":
            pool.confirm(order)
    assert pool.record("ann")["state"] == state

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/1", asked_us=late) == ("stale", [])
    assert pool.resume("ann", connection="ann/1", asked_us=pool.redis_us())[0] == "ok", "asked again, it is the newer"
    assert pool.said_to_node("n2") == ["taken_over ann ann/2"]


def test_a_resume_that_another_one_overtook_is_late_too(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    late = pool.redis_us()
    pool.resume("ann", connection="ann/3", asked_us=pool.redis_us())

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/2", asked_us=late) == ("stale", [])


def test_of_resumes_that_come_to_one_node_at_once_the_last_one_asked_has_the_player(pool: Pool) -> None:
    pool.enqueue("ann")
    asked = pool.redis_us()

    assert pool.resume("ann", connection="ann/2", node="n2", asked_us=asked)[0] == "ok"
    assert pool.resume("ann", connection="ann/4", node="n2", asked_us=asked + 2)[0] == "ok"
    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/3", node="n2", asked_us=asked + 1) == ("stale", [])
    assert pool.said_to_node("n2") == ["taken_over ann ann/2"]


def test_of_resumes_that_come_to_two_nodes_at_once_the_first_one_done_has_the_player(pool: Pool) -> None:
    """Their stamps may be late, each by its own."""
    pool.enqueue("ann")
    asked = pool.redis_us()

    assert pool.resume("ann", connection="ann/2", node="n2", asked_us=asked)[0] == "ok"
    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/3", node="n3", asked_us=asked + 1) == ("stale", [])


def test_what_a_connection_took_back_is_compared_with_its_own_claim(pool: Pool) -> None:
    """Not with that of the one which the rolled back record names."""
    pool.enqueue("ann")
    pool.resume("ann", connection="ann/2", asked_us=pool.redis_us())
    late = pool.redis_us()
    earlier = pool.contents()
    resumed, queued = pool.resume("ann", connection="ann/3", asked_us=pool.redis_us())[1]
    pool.put_back(earlier)
    assert (
        pool.reassert("ann", seq=queued["seq"], claimed=resumed["seq"], connection="ann/3", epoch="before")[0] == "ok"
    )

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/4", asked_us=late) == ("stale", [])


def test_a_late_resume_does_not_take_a_player_that_the_newer_connection_may_come_back_for(pool: Pool) -> None:
    late = queued_on_the_second(pool)
    pool.hold("ann", connection="ann/2")

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/1", asked_us=late) == ("stale", [])


def test_in_its_grace_a_player_comes_back_at_once(pool: Pool) -> None:
    pool.enqueue("ann", asked_us=pool.redis_us())
    pool.hold("ann")

    assert pool.resume("ann", connection="ann/2", asked_us=pool.redis_us())[0] == "ok"


def test_a_connections_own_claims_are_not_held_against_each_other(pool: Pool) -> None:
    """A client that does not wait: both of its messages were there before the first one was carried out."""
    asked = pool.redis_us()
    assert pool.enqueue("ann", asked_us=asked) == ["queued"]
    assert pool.enqueue("ann", asked_us=asked) == ["queued"], "its repeat"
    assert pool.resume("ann", connection="ann/1", operation=2, asked_us=asked)[0] == "ok"
    first = pool.resume("ann", connection="ann/1", operation=3, asked_us=asked)
    assert pool.resume("ann", connection="ann/1", operation=3, asked_us=asked) == first
    pool.leave("ann", operation=4)
    assert pool.enqueue("ann", operation=5, asked_us=asked) == ["queued"]


def test_a_late_enqueue_begins_no_journey_over_the_match_of_a_newer_connection(pool: Pool) -> None:
    pool.register("s1")
    late = queued_on_the_second(pool)
    pool.enqueue("bob")
    pool.match()
    pool.ready("bob")
    order = pool.ready("ann", connection="ann/2").order
    assert order
    pool.confirm(order)
    claimed = pool.redis_us()

    with pool.nothing_changes():
        assert pool.enqueue("ann", connection="ann/1", asked_us=late) == ["stale"]
    pool.leave("ann", connection="ann/2", reason="disconnected")
    with pool.nothing_changes():
        assert pool.enqueue("ann", connection="ann/1", asked_us=late) == ["stale"]
    assert pool.enqueue("ann", connection="ann/1", asked_us=claimed) == ["queued"]


def test_while_the_newer_journey_runs_a_late_enqueue_is_refused_as_ever(pool: Pool) -> None:
    late = queued_on_the_second(pool)

    with pool.nothing_changes():
        assert pool.enqueue("ann", connection="ann/1", asked_us=late) == ["elsewhere"]


def test_a_late_enqueue_begins_no_journey_after_the_newer_connection_has_left(pool: Pool) -> None:
    late = queued_on_the_second(pool)
    pool.leave("ann", connection="ann/2")

    with pool.nothing_changes():
        assert pool.enqueue("ann", connection="ann/1", asked_us=late) == ["stale"]
        assert pool.enqueue("ann", connection="ann/1", asked_us=late, mode="trio") == ["stale"]


def test_a_late_enqueue_begins_no_journey_after_the_newer_connection_has_left_a_match(pool: Pool) -> None:
    pool.register("s1")
    late = pool.redis_us()
    pool.enqueue("ann")
    pool.resume("ann", connection="ann/2", asked_us=pool.redis_us())
    pool.enqueue("bob")
    pool.match()
    pool.leave("ann", connection="ann/2")

    with pool.nothing_changes():
        assert pool.enqueue("ann", connection="ann/0", asked_us=late) == ["stale"]


def test_who_leaves_may_queue_elsewhere_before_its_leave_was_carried_out(pool: Pool) -> None:
    """It closed one connection and opened the next at once: another node may be quicker than the first one's leave."""
    queued_on_the_second(pool)
    asked = pool.redis_us()
    pool.leave("ann", connection="ann/2", reason="disconnected")

    assert pool.enqueue("ann", connection="ann/3", asked_us=asked) == ["queued"]


def test_going_back_into_the_queue_is_no_claim(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    asked = pool.redis_us()
    pool.leave("bob")
    assert pool.record("ann")["requeued"] == "true"

    assert pool.resume("ann", connection="ann/2", asked_us=asked)[0] == "ok"


def test_after_redis_moved_to_a_host_whose_clock_is_behind_nobody_waits_for_it_to_catch_up(pool: Pool) -> None:
    pool.enqueue("ann")
    ahead = pool.redis_us() + 5 * SECOND_US
    pool.redis("HSET", f"{pool.prefix}player:ann", "seq", ahead, "queued_seq", ahead)

    assert pool.resume("ann", connection="ann/2", asked_us=pool.redis_us())[0] == "ok"
    pool.leave("ann", connection="ann/2")
    assert pool.enqueue("ann", connection="ann/3", asked_us=pool.redis_us()) == ["queued"]


def test_whoever_was_put_back_by_its_session_counts_from_the_claim_that_the_session_names(pool: Pool) -> None:
    before = pool.redis_us()
    pool.enqueue("ann")
    claimed = int(pool.record("ann")["queued_seq"])
    after = pool.redis_us()
    pool.lose_everything()
    pool.reassert("ann", seq=claimed, claimed=claimed, epoch="the old one")

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/2", asked_us=before) == ("stale", [])
    assert pool.resume("ann", connection="ann/2", asked_us=after)[0] == "ok"


def test_an_emptied_redis_knows_no_newer_connection(pool: Pool) -> None:
    pool.enqueue("ann")
    made_at_us = pool.now_us()
    asked = pool.redis_us()
    pool.lose_everything()

    code, frames = pool.resume("ann", connection="ann/2", made_at_us=made_at_us, asked_us=asked)

    assert code == "ok"
    assert kinds(frames) == ["resumed", "queued"]


def test_nothing_overtakes_a_claim_that_does_not_say_when_it_was_asked(pool: Pool) -> None:
    queued_on_the_second(pool)
    assert pool.resume("ann", connection="ann/1")[0] == "ok"
    pool.leave("ann", connection="ann/1")
    assert pool.enqueue("ann", connection="ann/2") == ["queued"]
