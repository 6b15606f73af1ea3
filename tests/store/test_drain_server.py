from tests.store.pool import Pool


def drain(pool: Pool, server_id: str) -> bool:
    return pool.do(pool.registry.drain(server_id))


def test_a_drained_server_gets_no_new_session_and_keeps_those_it_has(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    pool.found("ann", "bob")

    assert drain(pool, "s1")
    assert drain(pool, "s1"), "a repeat"
    assert pool.servers()["s1"].record["state"] == "draining"
    assert (pool.free("s1"), pool.servers()["s1"].active) == (0, 1)


def test_neither_its_heartbeats_nor_its_registration_end_that(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    drain(pool, "s1")

    pool.heartbeat("s1", draining=False)
    assert pool.free("s1") == 0
    pool.register("s1", capacity=2)
    assert pool.free("s1") == 0
    pool.register("s1", capacity=2, incarnation="started anew")
    assert pool.free("s1") == 2


def test_a_server_that_is_not_there_is_not_drained(pool: Pool) -> None:
    with pool.nothing_changes():
        assert not drain(pool, "nobody")
