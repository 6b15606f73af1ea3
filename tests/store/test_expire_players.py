from tests.store.pool import GRACE_SECONDS, Pool, kinds, without_seq


def pass_time(pool: Pool, seconds: float) -> None:
    """Time passes while the node and its server are well."""
    pool.move_clock(seconds)
    pool.renew()


def test_a_queued_player_is_dropped_when_its_grace_ends(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    pool.frames("ann")
    pass_time(pool, GRACE_SECONDS - 1)
    assert pool.sweep().grace_ended == 0

    pass_time(pool, 1.5)
    assert pool.sweep().grace_ended == 1

    assert without_seq(pool.frames("ann")) == [{"type": "dequeued", "reason": "disconnected"}]
    assert pool.key_names() == {"clock", "events", "modes", "modes:waiting", "nodes", "nodes:info", "left:ann"}


def test_the_session_of_a_dropped_player_is_cancelled(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.hold("ann")
    pool.everything_said()
    pass_time(pool, GRACE_SECONDS + 1)

    swept = pool.sweep()

    assert (swept.grace_ended, swept.cancelled_by_leaving) == (1, 1)
    assert without_seq(pool.frames("ann")) == [{"type": "dequeued", "reason": "disconnected"}]
    cancelled, queued = pool.frames("bob")
    assert (cancelled["reason"], cancelled["loading_session_id"]) == ("player_left", session)
    assert queued["requeued"] is True
    assert pool.members("queue:duel:front") == ["bob"]


def test_two_players_of_one_session_are_dropped_together(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob", "cid", mode="trio")
    pool.hold("ann")
    pool.hold("bob")
    pool.everything_said()
    pass_time(pool, GRACE_SECONDS + 1)

    swept = pool.sweep()

    assert (swept.grace_ended, swept.cancelled_by_leaving) == (2, 1)
    assert pool.record("ann") == pool.record("bob") == {}
    assert [pool.frames(player)[-1]["type"] for player in ("ann", "bob")] == ["dequeued", "dequeued"]
    assert pool.members("queue:trio:front") == ["cid"]


def test_while_the_session_is_being_placed_the_match_goes_on(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.hold("ann")
    pass_time(pool, GRACE_SECONDS + 1)

    assert pool.sweep().cancelled_by_leaving == 0

    assert pool.members("held") == []
    assert pool.confirm(order).players == order.players


def test_a_failed_allocation_does_not_requeue_who_was_dropped_meanwhile(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.hold("ann")
    pass_time(pool, GRACE_SECONDS + 1)
    pool.sweep()
    pool.fail(order, "error")
    pool.everything_said()
    pass_time(pool, 31)
    pool.sweep()

    assert without_seq(pool.frames("ann")) == [{"type": "dequeued", "reason": "disconnected"}]
    assert kinds(pool.frames("bob")) == ["match_cancelled", "queued"]


def test_waiting_has_no_end_by_default(pool: Pool) -> None:
    pool.enqueue("ann")
    pass_time(pool, 1_000_000)

    assert pool.sweep().queue_timeouts == 0
    assert pool.record("ann")["state"] == "queued"


def test_a_player_who_waits_past_the_limit_is_told_so(pool: Pool) -> None:
    pool.enqueue("ann")
    pass_time(pool, 30)
    pool.enqueue("bob", mode="trio")
    pool.everything_said()
    pass_time(pool, 35)

    assert pool.sweep(queue_timeout=60).queue_timeouts == 1

    assert without_seq(pool.frames("ann")) == [{"type": "dequeued", "reason": "queue_timeout"}]
    assert pool.record("bob")["state"] == "queued"
    assert pool.members("queue:duel") == []


def test_the_limit_counts_from_the_first_enqueue_also_for_those_in_front_or_held(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob", "cid", mode="trio")
    pass_time(pool, 50)
    pool.leave("ann")
    pool.hold("bob", grace=100)
    pass_time(pool, 15)

    assert pool.sweep(queue_timeout=60).queue_timeouts == 2

    assert pool.record("bob") == pool.record("cid") == {}
    assert pool.members("held") == []


def test_who_loads_is_not_waiting(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann")
    pass_time(pool, 59)
    pool.heartbeat("s1")
    pool.enqueue("bob")
    pool.renew()
    pool.sweep()
    pool.register("s1")
    pool.match()
    pass_time(pool, 30)

    assert pool.sweep(queue_timeout=60).queue_timeouts == 0


def test_one_sweep_drops_no_more_than_its_limit_and_the_next_goes_on(pool: Pool) -> None:
    pool.enqueue("ann", "bob", "cid")
    for player in ("ann", "bob", "cid"):
        pool.hold(player)
    pass_time(pool, GRACE_SECONDS + 1)

    assert [pool.run("expire_players", 2, 0)[0] for _ in range(3)] == [2, 1, 0]


def test_the_repeat_of_a_sweep_tells_nobody_twice(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    pass_time(pool, GRACE_SECONDS + 1)
    pool.run("expire_players", 100, 60_000_000)

    with pool.nothing_changes():
        assert pool.run("expire_players", 100, 60_000_000) == [0, 0, 0, 0, 0]


def test_an_entry_without_a_record_does_not_stop_the_sweep(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.redis("ZADD", f"{pool.prefix}waiting:duel", 1, "ghost")
    pool.redis("ZADD", f"{pool.prefix}held", 1, "ghost")
    pool.redis("SADD", f"{pool.prefix}queue:duel", "ghost")
    pass_time(pool, 61)

    assert pool.sweep(queue_timeout=60).queue_timeouts == 2

    assert pool.frames("ann")[-1]["reason"] == "queue_timeout"
    assert not {"waiting:duel", "held", "queue:duel", "left:ghost"} & pool.key_names()


def test_a_held_player_whose_session_is_lost_keeps_no_other_in_its_grace(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.enqueue("cid")
    pool.redis("DEL", f"{pool.prefix}loading:{session}")
    pool.hold("ann")
    pool.hold("cid")
    pass_time(pool, 61)

    pool.sweep()

    assert pool.record("cid") == {}


def test_a_record_that_cannot_be_dropped_keeps_nobody_else_waiting(pool: Pool) -> None:
    pool.enqueue("broken")
    pool.redis("HDEL", f"{pool.prefix}player:broken", "node")
    pool.enqueue("ann")
    pass_time(pool, 31)

    assert pool.sweep(queue_timeout=30).queue_timeouts == 1

    assert kinds(pool.frames("ann"))[-1] == "dequeued"
