from tests.store.pool import SERVER_LEASE_SECONDS, Pool


def test_a_server_that_misses_its_heartbeats_is_lost_with_its_sessions(pool: Pool) -> None:
    pool.register("s1", capacity=3, max_session_seconds=1000)
    pool.register("s2")
    pool.found("ann", "bob")
    pool.found("cid", "dan")
    pool.move_clock(SERVER_LEASE_SECONDS - 1)
    pool.heartbeat("s2")
    assert pool.run("expire_servers", 100) == [0, 0, 0]
    on_s1 = len(pool.hash("active:s1"))
    pool.move_clock(2)

    assert pool.run("expire_servers", 100) == [1, on_s1, 0]

    assert set(pool.servers()) == {"s2"}
    assert not {key for key in pool.key_names() if key.endswith(":s1")}
    assert "s1" not in pool.hash("servers:open")
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

    assert pool.run("expire_servers", 100) == [0, 0, 0]


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
    assert pool.run("expire_servers", 100) == [0, 0, 0]
    pool.move_clock(1)

    assert pool.run("expire_servers", 100) == [0, 0, 1]

    assert pool.free("s1") == 1
    assert not {"session_deadlines", "active:s1"} & pool.key_names()


def test_an_overdue_session_that_its_server_still_lists_is_to_end(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=10)
    pool.found("ann", "bob", session_id="long")
    pool.move_clock(11)
    pool.run("expire_servers", 100)

    assert pool.heartbeat("s1", ["long"]) == ["long"]


def test_without_a_limit_a_session_may_last(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")
    pool.move_clock(100_000)
    pool.heartbeat("s1")

    assert pool.run("expire_servers", 100) == [0, 0, 0]
    assert pool.free("s1") == 0


def test_a_quarantine_that_is_over_opens_one_slot(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    pool.fail(pool.allocating("ann", "bob"), "error")
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

    assert [pool.run("expire_servers", 2)[0] for _ in range(3)] == [2, 1, 0]
    with pool.nothing_changes():
        pool.run("expire_servers", 2)
