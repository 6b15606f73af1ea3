from match_server.store.upkeep import WithoutSlot
from tests.store.pool import LOADING_SECONDS, WAIT_SECONDS, Pool, put_back, without_seq


def pass_time(pool: Pool, seconds: float) -> None:
    pool.move_clock(seconds)
    pool.renew()


def test_who_never_loaded_leaves_and_the_others_go_back_in_front(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob", "cid", mode="trio")
    pool.ready("bob")
    enqueued_at = int(pool.record("bob")["enqueued_at"])
    pool.everything_said()
    pass_time(pool, LOADING_SECONDS - 1)
    assert pool.sweep().loading_timeouts == 0
    pass_time(pool, 1.5)

    assert pool.sweep().loading_timeouts == 1

    for player in ("ann", "cid"):
        assert without_seq(pool.frames(player)) == [{"type": "dequeued", "reason": "loading_timeout"}]
        assert pool.record(player) == {}
    assert without_seq(pool.frames("bob")) == put_back("bob", session, "loading_timeout", mode="trio")
    assert pool.score("queue:trio:front", "bob") == enqueued_at
    assert not {key for key in pool.key_names() if key.startswith(("loading:", "sessions:"))}


def test_when_nobody_loaded_everybody_leaves(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pass_time(pool, LOADING_SECONDS + 1)

    assert pool.sweep().loading_timeouts == 1

    assert {
        key for key in pool.key_names() if key.startswith(("player:", "queue:", "waiting:", "node_players:"))
    } == set()


def test_a_held_player_that_had_loaded_keeps_its_place_out_of_reach(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.ready("bob")
    pool.hold("bob", grace=LOADING_SECONDS + 10)
    pass_time(pool, LOADING_SECONDS + 1)

    pool.sweep()

    assert pool.record("bob")["state"] == "queued"
    assert pool.members("queue:duel:front") == []
    assert pool.queue().held == 1


def test_a_deadline_hits_only_the_session_that_it_was_meant_for(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pass_time(pool, 40)
    pool.register("s1")
    pool.leave("bob")
    pool.enqueue("cid")
    pool.match()
    pass_time(pool, 30)

    assert pool.sweep().loading_timeouts == 0
    assert pool.record("ann")["state"] == "loading"


def test_a_session_that_is_being_placed_has_no_loading_deadline(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pass_time(pool, LOADING_SECONDS * 2)

    assert pool.run("expire_sessions", 100) == [0, 0, 0]
    assert pool.confirm(order).code == "matched"


def test_a_match_that_was_full_everywhere_and_found_no_slot_names_the_servers_of_its_attempts(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    assert pool.fail(order, "full") == ("waiting", None)
    pass_time(pool, WAIT_SECONDS + 1)

    (match,) = pool.sweep().without_slot

    assert (match.loading_session_id, match.tried) == (order.loading_session_id, ("s1",))


def test_a_ready_match_that_waits_too_long_for_a_slot_goes_back(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.do(pool.registry.remove("s1"))
    pool.ready("ann")
    pool.ready("bob")
    pool.everything_said()
    pass_time(pool, WAIT_SECONDS - 1)
    assert pool.sweep().without_slot == ()
    pass_time(pool, 1.5)

    assert pool.sweep().without_slot == (WithoutSlot(session, "duel", ("ann", "bob"), ()),)

    for player in ("ann", "bob"):
        assert without_seq(pool.frames(player)) == put_back(player, session, "allocation_failed")
    assert pool.members("queue:duel:front") == ["ann", "bob"]


def test_one_sweep_ends_sessions_until_its_limit_of_players_is_reached(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    for number in range(3):
        pool.loading(f"a{number}", f"b{number}")
    pass_time(pool, LOADING_SECONDS + 1)

    assert [pool.run("expire_sessions", 4) for _ in range(2)] == [[2, 0, 1], [1, 0, 0]]


def test_the_repeat_of_a_sweep_changes_nothing(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pass_time(pool, LOADING_SECONDS + 1)
    pool.run("expire_sessions", 100)

    with pool.nothing_changes():
        assert pool.run("expire_sessions", 100) == [0, 0, 0]


def test_an_entry_without_a_session_does_not_stop_the_sweep(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    for stage in ("loading", "unplaced"):
        pool.redis("ZADD", f"{pool.prefix}sessions:{stage}:duel", 1, "ghost")
    pass_time(pool, LOADING_SECONDS + 1)

    pool.sweep()

    assert pool.record("ann") == {}
    assert not {key for key in pool.key_names() if key.startswith("sessions:")}


def test_a_broken_session_keeps_no_other_from_its_end(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    broken, other = pool.loading("ann", "bob"), pool.loading("cid", "dan")
    pool.redis("HDEL", f"{pool.prefix}loading:{broken}", "#players")
    pass_time(pool, LOADING_SECONDS + 1)

    pool.sweep()

    assert pool.record("cid") == {}
    assert f"loading:{other}" not in pool.key_names()


def test_a_session_of_a_node_of_the_first_version_ends_in_time(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.redis("HSET", f"{pool.prefix}loading:{session}", "#players", "ann bob")
    pool.ready("ann")
    pass_time(pool, LOADING_SECONDS + 1)

    pool.sweep()

    assert (pool.record("ann")["state"], pool.record("bob")) == ("queued", {})
