from tests.store.pool import Pool


def test_a_server_that_leaves_leaves_nothing_behind(pool: Pool) -> None:
    before = pool.key_names()
    pool.register("s1", capacity=4, max_session_seconds=100, active_sessions=("a", "b"))
    pool.end("s1", "early")
    pool.fail(pool.allocating("ann", "bob"), "unknown")

    assert pool.run("remove_server", "s1") == [b"removed", 2]

    assert not {key for key in pool.key_names() - before if "s1" in key or key.startswith("server")}
    assert not {"quarantine", "session_deadlines"} & pool.key_names()


def test_it_takes_no_new_sessions_at_once(pool: Pool) -> None:
    pool.register("s1", capacity=4)
    pool.enqueue("ann", "bob")

    pool.do(pool.registry.remove("s1"))

    assert pool.match().formed == 0


def test_removing_it_again_or_an_unknown_one_changes_nothing(pool: Pool) -> None:
    pool.register("s2")

    with pool.nothing_changes():
        assert pool.run("remove_server", "s1") == [b"unknown", 0]
