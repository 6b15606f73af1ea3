from tests.store.pool import SERVER_LEASE_SECONDS, Pool


def test_a_server_that_misses_its_heartbeats_is_lost_with_its_sessions(pool: Pool) -> None:
    pool.register("s1", capacity=3, max_session_seconds=1000)
    pool.register("s2")
    pool.found("ann", "bob")
    pool.found("cid", "dan")
    pool.move_clock(SERVER_LEASE_SECONDS - 1)
    pool.heartbeat("s2")
    assert pool.run("expire_servers", 100) == [0, 0]
    on_s1 = len(pool.hash("active:s1"))
    pool.move_clock(2)

    assert pool.run("expire_servers", 100) == [0, 0, f"s1\n{on_s1}".encode()]

    assert set(pool.servers()) == {"s2"}
    assert not {key for key in pool.key_names() if key.endswith(":s1")}
    assert "s1" not in pool.members("servers:open:* eu")
    assert "session_deadlines" not in pool.key_names()


def test_a_lost_server_must_register_again(pool: Pool) -> None:
    pool.register("s1")
    pool.move_clock(SERVER_LEASE_SECONDS + 1)
    pool.run("expire_servers", 100)

    assert pool.heartbeat("s1", []) is None
    assert pool.register("s1") == "created"


def test_a_heartbeat_keeps_a_server(pool: Pool) -> None:
    pool.register("s1")
    for _ in range(4):
        pool.move_clock(SERVER_LEASE_SECONDS - 1)
        assert pool.heartbeat("s1") == []

    assert pool.run("expire_servers", 100) == [0, 0]


def test_the_match_on_its_way_to_a_lost_server_tries_another(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.move_clock(SERVER_LEASE_SECONDS + 1)
    pool.run("expire_servers", 100)
    pool.register("s2")

    assert pool.confirm(order).code == "lost"
    code, second = pool.fail(order, "lost")

    assert code == "placed"
    assert second is not None
    assert second.server_id == "s2"


def test_a_session_past_its_servers_limit_frees_its_slot(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=2.5)
    pool.found("ann", "bob")
    assert pool.free("s1") == 0
    pool.move_clock(2)
    assert pool.run("expire_servers", 100) == [0, 0]
    pool.move_clock(1)

    assert pool.run("expire_servers", 100) == [1, 0]

    assert pool.free("s1") == 1
    assert not {"session_deadlines", "active:s1"} & pool.key_names()


def test_an_overdue_session_that_its_server_still_lists_is_to_end(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=10)
    pool.found("ann", "bob", session_id="long")
    pool.move_clock(11)
    pool.run("expire_servers", 100)

    assert pool.heartbeat("s1", ["long"]) == ["long"]


def test_of_many_overdue_sessions_one_call_frees_a_bounded_number(pool: Pool) -> None:
    pool.register("s1", capacity=9, max_session_seconds=10, active_sessions=tuple("abcdefg"))
    pool.move_clock(11)

    replies = [pool.run("expire_servers", 4) for _ in range(3)]

    assert replies == [[4, 1], [3, 1], [0, 0]]
    assert pool.free("s1") == 9


def test_a_server_that_comes_back_is_not_held_to_its_former_limits(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=10, active_sessions=("a",))
    pool.do(pool.registry.remove("s1"))
    pool.register("s1", active_sessions=("a",))
    pool.move_clock(11)

    assert pool.run("expire_servers", 100) == [0, 0]

    assert pool.free("s1") == 0


def test_a_server_that_cannot_be_read_keeps_no_other_alive(pool: Pool) -> None:
    pool.register("s1")
    pool.register("s2", max_session_seconds=10, active_sessions=("a",))
    pool.register("s3")
    pool.move_clock(11)
    pool.heartbeat("s2")
    for broken in ("s1", "s4"):
        pool.redis("DEL", f"{pool.prefix}server:{broken}")
        pool.redis("SET", f"{pool.prefix}server:{broken}", "rubbish")
    for key in ("session_deadlines", "quarantine"):
        pool.redis("ZADD", pool.prefix + key, 1, "s4")
    pool.redis("ZADD", f"{pool.prefix}session_deadlines:s4", 1, "x")
    pool.move_clock(SERVER_LEASE_SECONDS - 10)

    assert pool.run("expire_servers", 100) == [1, 0, b"s3\n0"]

    assert pool.members("servers") == ["s1", "s2"]


def test_without_a_limit_a_session_may_last(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")
    pool.move_clock(100_000)
    pool.heartbeat("s1")

    assert pool.run("expire_servers", 100) == [0, 0]
    assert pool.free("s1") == 0


def test_a_quarantine_that_is_over_opens_one_slot(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    order = pool.allocating("ann", "bob")
    pool.another_failed_on("s1")
    pool.fail(order, "error")
    pool.move_clock(0.4)
    pool.run("expire_servers", 100)
    assert pool.free("s1") == 0
    pool.move_clock(0.2)

    pool.run("expire_servers", 100)

    assert pool.free("s1") == 1
    assert "quarantine" not in pool.key_names()


def test_one_sweep_ends_no_more_than_its_limit_and_its_repeat_changes_nothing(pool: Pool) -> None:
    for number in range(3):
        pool.register(f"s{number}")
    pool.move_clock(SERVER_LEASE_SECONDS + 1)

    assert [len(pool.run("expire_servers", 2)[2:]) for _ in range(3)] == [2, 1, 0]
    with pool.nothing_changes():
        pool.run("expire_servers", 2)
