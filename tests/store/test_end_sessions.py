import pytest

from tests.store.pool import Pool


def test_an_end_frees_the_slot(pool: Pool) -> None:
    pool.register("s1", capacity=2, max_session_seconds=100)
    pool.found("ann", "bob", session_id="theirs")
    assert pool.free("s1") == 1

    assert pool.end("s1", "theirs") == ["theirs"]

    assert pool.free("s1") == 2
    assert not {"active:s1", "session_deadlines:s1", "ended:s1"} & pool.key_names()


def test_the_repeat_frees_nothing_more(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    pool.found("ann", "bob", session_id="theirs")
    pool.found("cid", "dan", session_id="other")

    assert pool.end("s1", "theirs") == ["theirs"]
    assert pool.end("s1", "theirs") == []

    assert pool.hash("active:s1") == {"other": "0"}
    assert pool.free("s1") == 1


def test_many_ends_come_in_one_call(pool: Pool) -> None:
    sessions = [f"x{number}" for number in range(1200)]
    pool.register("s1", capacity=2000, active_sessions=tuple(sessions))

    assert pool.end("s1", *sessions[:1100], "nobody-knows-it") == sessions[:1100]

    assert pool.servers()["s1"].active == 100
    assert pool.free("s1") == 1900


def test_an_end_before_the_confirmation_is_noted_for_a_minute(pool: Pool) -> None:
    pool.register("s1")

    assert pool.end("s1", "early") == []

    assert pool.members("ended:s1") == ["early"]
    assert 0 < pool.ttl("ended:s1") <= 120
    pool.move_clock(61)
    assert pool.end("s1", "another") == []
    assert pool.members("ended:s1") == ["another"]


def test_the_end_of_a_session_of_unknown_fate_frees_its_slot(pool: Pool) -> None:
    """Its create had no answer, so nobody knew that it had begun; a server without lists says it by the end alone."""
    pool.register("s1", capacity=1)
    order = pool.allocating("ann", "bob")
    pool.fail(order, "unknown")

    assert pool.end("s1", order.loading_session_id) == [order.loading_session_id]

    assert "reserved:s1" not in pool.key_names()


def test_an_end_before_its_create_was_given_up_frees_the_slot_then(pool: Pool) -> None:
    pool.register("s1", capacity=1)
    order = pool.allocating("ann", "bob")
    assert pool.end("s1", order.loading_session_id) == []

    pool.fail(order, "unknown")

    assert "reserved:s1" not in pool.key_names()


@pytest.mark.parametrize("end_first", [True, False])
def test_a_match_that_comes_back_to_the_server_where_its_session_has_ended_takes_no_slot(
    pool: Pool, end_first: bool
) -> None:
    """The same key gives the same session, which is over: nobody would report its end again."""
    pool.register("s1", capacity=2)
    order = pool.allocating("ann", "bob")
    if end_first:
        pool.end("s1", order.loading_session_id)
    pool.fail(order, "unknown")
    if not end_first:
        pool.end("s1", order.loading_session_id)
    pool.move_clock(1)
    pool.sweep()
    (again,) = pool.place()

    assert pool.confirm(again).code == "matched"

    assert pool.free("s1") == 2


def test_an_unknown_server_has_no_sessions_to_end(pool: Pool) -> None:
    with pool.nothing_changes():
        assert pool.end("nobody", "x") is None


def test_a_freed_slot_takes_the_match_that_waits_for_one(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    pool.found("ann", "bob", session_id="theirs")
    session = pool.loading("cid", "dan")
    pool.register("s1", capacity=1)
    pool.ready("cid")
    pool.ready("dan")
    assert pool.place() == []

    pool.end("s1", "theirs")

    assert [order.loading_session_id for order in pool.place()] == [session]
