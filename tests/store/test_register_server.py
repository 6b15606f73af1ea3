import pytest

from tests.store.pool import SERVER_LEASE_SECONDS, Pool


def test_a_server_that_registers_offers_its_slots(pool: Pool) -> None:
    assert (
        pool.register("s1", capacity=4, game_modes=("duel", "trio"), max_session_seconds=90.5, batch=True) == "created"
    )

    server = pool.servers()["s1"]
    assert (server.free, server.active, server.reserved) == (4, 0, 0)
    assert SERVER_LEASE_SECONDS - 1 < server.lease_seconds_left <= SERVER_LEASE_SECONDS
    assert server.record == {
        "incarnation": "first",
        "control_url": "http://s1.example:9000",
        "endpoint": "http://127.0.0.1:9000",
        "host": "s1.example:9000",
        "address": "203.0.113.7:7777",
        "capacity": "4",
        "batch": "1",
        "game_modes": "duel,trio",
        "region": "eu",
        "state": "live",
        "max_session_seconds": "90.5",
        "offered": "4",
    }
    assert pool.hash("servers:free") == {"duel,trio eu": "4"}
    assert pool.score("servers:open:duel,trio eu", "s1") == 1


def test_the_same_incarnation_again_changes_no_slot(pool: Pool) -> None:
    pool.register("s1", capacity=3)
    pool.found("ann", "bob")
    order = pool.allocating("cid", "dan")
    before = pool.contents()

    assert pool.register("s1", capacity=3) == "renewed"

    assert pool.contents() | {"servers": 0} == before | {"servers": 0}, "only the lease is new"
    assert pool.confirm(order).code == "matched"


def test_a_new_incarnation_voids_the_slots_of_the_old_one(pool: Pool) -> None:
    pool.register("s1", capacity=3, max_session_seconds=100)
    pool.found("ann", "bob")
    pool.allocating("cid", "dan")

    assert pool.register("s1", capacity=2, incarnation="second") == "replaced"

    assert pool.free("s1") == 2
    assert not {"active:s1", "reserved:s1", "session_deadlines"} & pool.key_names()


def test_a_new_incarnation_has_a_clean_record(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=5)
    pool.fail(pool.allocating("ann", "bob"), "error")

    pool.register("s1", incarnation="second")

    record = pool.servers()["s1"].record
    assert not {"failures", "quarantined_until", "probe", "max_session_seconds"} & record.keys()
    assert pool.free("s1") == 1
    assert "quarantine" not in pool.key_names()


def test_sessions_that_it_says_it_runs_take_their_slots(pool: Pool) -> None:
    pool.register("s1", capacity=3, active_sessions=("a", "b"))

    assert pool.hash("active:s1") == {"a": "0", "b": "0"}
    assert pool.free("s1") == 1
    pool.enqueue("ann", "bob", "cid", "dan")
    assert pool.match().formed == 1


def test_a_registry_that_was_emptied_counts_them_again(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob", session_id="theirs")
    for key in pool.key_names():
        pool.redis("DEL", pool.prefix + key)
    assert pool.heartbeat("s1", ["theirs"]) is None

    assert pool.register("s1", active_sessions=("theirs",)) == "created"

    assert pool.free("s1") == 0
    assert pool.heartbeat("s1", ["theirs"]) == []


def test_a_slot_that_is_known_is_not_counted_twice(pool: Pool) -> None:
    pool.register("s1", capacity=3)
    pool.found("ann", "bob", session_id="theirs")
    order = pool.allocating("cid", "dan")

    pool.register("s1", capacity=3, active_sessions=("theirs", order.loading_session_id))

    assert pool.free("s1") == 1


def test_its_sessions_have_a_limit_too(pool: Pool) -> None:
    pool.register("s1", capacity=2, max_session_seconds=10, active_sessions=("a",))
    pool.move_clock(11)

    assert pool.run("expire_servers", 100) == [1, 0]


def test_registering_again_does_not_prolong_a_sessions_limit(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=10)
    pool.found("ann", "bob", session_id="theirs")
    deadline = pool.score("session_deadlines:s1", "theirs")
    pool.move_clock(5)

    pool.register("s1", max_session_seconds=10, active_sessions=("theirs",))

    assert pool.score("session_deadlines:s1", "theirs") == deadline


@pytest.mark.parametrize("number_of_sessions", [0, 1, 499, 500, 501, 1200])
def test_a_registration_with_many_sessions_goes_in_parts(pool: Pool, number_of_sessions: int) -> None:
    sessions = tuple(f"x{number}" for number in range(number_of_sessions))

    assert pool.register("s1", capacity=2000, active_sessions=sessions) == "created"

    assert pool.servers()["s1"].active == number_of_sessions
    assert pool.register("s1", capacity=2000, incarnation="second", active_sessions=sessions) == "replaced"
    assert pool.servers()["s1"].active == number_of_sessions


def register_in_part(pool: Pool, *sessions: str, unlisted: int, incarnation: str = "first") -> None:
    """One call of a registration of a server with five slots; `unlisted` sessions are to come in further calls."""
    details = (
        "s1",
        incarnation,
        "http://s1:9000",
        "http://127.0.0.1:9000",
        "s1:9000",
        "203.0.113.7:7777",
        5,
        0,
        "",
        "",
    )
    pool.run("register_server", *details, "eu", 60_000_000, unlisted, items=[(session,) for session in sessions])


@pytest.mark.parametrize("before", ["unknown", "known", "another incarnation"])
def test_a_server_never_looks_emptier_than_it_is_while_it_registers(pool: Pool, before: str) -> None:
    if before == "known":
        register_in_part(pool, "a", "b", "c", unlisted=0)
    elif before == "another incarnation":
        register_in_part(pool, "x", unlisted=0, incarnation="earlier")

    register_in_part(pool, "a", "b", unlisted=1)
    assert pool.free("s1") <= 2
    assert pool.heartbeat("s1", ["a", "b", "c"]) is None, "told to register again, and to end none"
    register_in_part(pool, "c", unlisted=0)

    assert pool.free("s1") == 2
    assert pool.heartbeat("s1", ["a", "b", "c"]) == []


def test_more_sessions_than_slots_leave_no_free_ones(pool: Pool) -> None:
    pool.register("s1", capacity=1, active_sessions=("a", "b", "c"))
    assert pool.free("s1") == 0

    pool.heartbeat("s1", [])
    pool.heartbeat("s1", [])

    assert pool.free("s1") == 1


def test_a_draining_server_that_registers_again_takes_sessions_again(pool: Pool) -> None:
    pool.register("s1")
    pool.heartbeat("s1", draining=True)
    assert pool.free("s1") == 0

    pool.register("s1")

    assert pool.free("s1") == 1


def test_a_smaller_capacity_closes_a_server_until_sessions_end(pool: Pool) -> None:
    pool.register("s1", capacity=3)
    first = pool.found("ann", "bob")
    pool.found("cid", "dan")

    pool.register("s1", capacity=1)
    assert pool.free("s1") == 0
    pool.end("s1", first.loading_session_id)

    assert pool.free("s1") == 0
