from tests.store.pool import Pool


def test_servers_are_listed_by_the_time_left_on_their_leases(pool: Pool) -> None:
    pool.register("newest", capacity=5)
    pool.register("oldest")
    pool.move_clock(3)
    pool.heartbeat("newest")

    assert list(pool.servers()) == ["oldest", "newest"]


def test_each_server_is_listed_with_its_slots(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    pool.found("ann", "bob")
    pool.found("cid", "dan")
    pool.allocating("eve", "fay")

    server = pool.servers()["s1"]

    assert (server.active, server.reserved, server.free) == (2, 1, 2)
    assert server.record["capacity"] == "5"


def test_a_lease_that_ran_out_has_no_time_left(pool: Pool) -> None:
    pool.register("s1")
    pool.move_clock(100)

    assert pool.servers()["s1"].lease_seconds_left == 0


def test_more_servers_than_one_page_are_all_listed_once(pool: Pool) -> None:
    names = [f"s{number}" for number in range(205)]
    for name in names:
        pool.register(name)

    assert sorted(pool.servers()) == sorted(names)


def test_looking_changes_nothing(pool: Pool) -> None:
    assert pool.servers() == {}
    pool.register("s1")

    with pool.nothing_changes():
        pool.servers()
