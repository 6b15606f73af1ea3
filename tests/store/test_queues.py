from match_server.store.operators import QueueStatus
from tests.store.pool import Pool


def test_a_mode_where_nobody_is(pool: Pool) -> None:
    with pool.nothing_changes():
        assert pool.queue("royale") == QueueStatus(
            game_mode="royale",
            waiting=0,
            held=0,
            oldest_wait_seconds=None,
            loading_sessions=0,
            allocating_sessions=0,
            unplaced_sessions=0,
            matches_last_minute=0,
            paused=False,
            free_slots=0,
            tickets=0,
            wait_percentiles=None,
        )


def test_a_mode_with_somebody_in_every_stage(pool: Pool) -> None:
    pool.register("s1", capacity=4)
    pool.found("a1", "a2")
    pool.allocating("b1", "b2")
    pool.loading("c1", "c2")
    pool.enqueue("waits", "lost")
    pool.hold("lost", grace=100)
    pool.move_clock(9)
    pool.enqueue("newer")
    pool.do(pool.operators.pause("duel", paused=True))

    status = pool.queue()

    assert status.oldest_wait_seconds is not None
    assert 9 <= status.oldest_wait_seconds < 10
    assert status == QueueStatus(
        game_mode="duel",
        waiting=2,
        held=1,
        oldest_wait_seconds=status.oldest_wait_seconds,
        loading_sessions=1,
        allocating_sessions=1,
        unplaced_sessions=0,
        matches_last_minute=1,
        paused=True,
        free_slots=2,
        tickets=0,
        wait_percentiles=status.wait_percentiles,
    )
    assert status.wait_percentiles is not None
    # Of three that wait two came nine seconds ago, one held.
    assert [status.wait_percentiles[name] >= 9 for name in ("p50", "p90", "p99")] == [True, True, True]


def test_those_in_front_count_as_waiting(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.leave("ann")

    assert (pool.queue().waiting, pool.queue().held) == (1, 0)


def test_a_ready_match_without_a_slot_counts_as_unplaced_too(pool: Pool) -> None:
    pool.register("s1")
    pool.fail(pool.allocating("ann", "bob"), "error")

    status = pool.queue()

    assert (status.allocating_sessions, status.unplaced_sessions) == (1, 1)


def test_several_modes_are_read_in_one_look(pool: Pool) -> None:
    pool.enqueue("ann", mode="trio")

    statuses = pool.do(pool.operators.queues(["duel", "trio"]))

    assert [(status.game_mode, status.waiting) for status in statuses] == [("duel", 0), ("trio", 1)]


def test_pausing_twice_changes_nothing(pool: Pool) -> None:
    assert pool.do(pool.operators.pause("duel", paused=True))
    with pool.nothing_changes():
        assert not pool.do(pool.operators.pause("duel", paused=True))
    assert pool.do(pool.operators.pause("duel", paused=False))

    assert not pool.queue().paused
