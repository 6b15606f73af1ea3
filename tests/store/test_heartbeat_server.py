import pytest

from match_server.servers.provider import Order
from tests.store.pool import SECOND_US, SERVER_LEASE_SECONDS, Pool


def unknown_slot(pool: Pool) -> Order:
    """A create on s1 timed out, and nobody knows whether the session was made; its match plays on s2."""
    pool.register("s1", capacity=3)
    order = pool.allocating("ann", "bob")
    pool.register("s2")
    _, elsewhere = pool.fail(order, "unknown")
    assert elsewhere is not None
    pool.confirm(elsewhere)
    pool.move_clock(1)
    return order


def test_a_heartbeat_extends_the_lease(pool: Pool) -> None:
    pool.register("s1")
    pool.move_clock(10)
    assert pool.servers()["s1"].lease_seconds_left < 6

    assert pool.heartbeat("s1") == []

    assert pool.servers()["s1"].lease_seconds_left > SERVER_LEASE_SECONDS - 1


def test_an_unknown_server_must_register_again(pool: Pool) -> None:
    with pool.nothing_changes():
        assert pool.heartbeat("s1", ["a"]) is None


def test_a_draining_server_takes_no_sessions(pool: Pool) -> None:
    pool.register("s1")

    pool.heartbeat("s1", draining=True)
    assert pool.free("s1") == 0
    assert pool.servers()["s1"].record["state"] == "draining"

    pool.heartbeat("s1")
    assert pool.free("s1") == 0, "it has said nothing new"

    pool.heartbeat("s1", draining=False)
    assert pool.free("s1") == 1


def test_a_slot_is_freed_when_two_heartbeats_in_a_row_leave_it_out(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=100)
    pool.found("ann", "bob", session_id="theirs")

    assert pool.heartbeat("s1", []) == []
    assert pool.free("s1") == 0, "it may have been written before the create"
    assert pool.heartbeat("s1", []) == []

    assert pool.free("s1") == 1
    assert not {"active:s1", "session_deadlines:s1"} & pool.key_names()


def test_a_session_listed_in_between_keeps_its_slot(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob", session_id="theirs")

    for listed in ([], ["theirs"], [], ["theirs"], []):
        assert pool.heartbeat("s1", listed) == []

    assert pool.free("s1") == 0


def test_the_repeat_of_a_heartbeat_counts_no_absence_twice(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob", session_id="theirs")
    beat = ("heartbeat_server", "s1", "", SECOND_US, "live", "beat-1", 0, 1)
    assert pool.run(*beat, items=[("theirs",)]) == [b"ok", b""]
    before = pool.contents()

    assert pool.run(*beat, items=[("theirs",)]) == [b"ok", b""]

    assert pool.contents() | {"servers": 0} == before | {"servers": 0}, "only the lease is new"


def test_without_a_list_nothing_is_compared(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")

    for _ in range(3):
        assert pool.heartbeat("s1", None) == []

    assert pool.free("s1") == 0


def test_a_session_without_a_slot_is_to_end(pool: Pool) -> None:
    pool.register("s1", capacity=3)
    pool.found("ann", "bob", session_id="theirs")

    assert pool.heartbeat("s1", ["stranger", "theirs"]) == ["stranger"]
    assert pool.heartbeat("s1", ["stranger", "theirs"]) == ["stranger"], "until it has ended"


def test_while_a_create_is_under_way_a_stranger_may_be_that_very_session(pool: Pool) -> None:
    pool.register("s1", capacity=3)
    order = pool.allocating("ann", "bob")

    assert pool.heartbeat("s1", ["an-id-of-its-own-choice"]) == []

    pool.confirm(order, session_id="an-id-of-its-own-choice")
    assert pool.heartbeat("s1", ["an-id-of-its-own-choice"]) == []


def test_a_create_under_way_is_not_freed_by_heartbeats_that_leave_it_out(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")

    for _ in range(3):
        pool.heartbeat("s1", [])

    assert pool.confirm(order).code == "matched"


def test_an_unknown_slot_that_is_listed_lives_and_must_end(pool: Pool) -> None:
    order = unknown_slot(pool)

    assert pool.heartbeat("s1", [order.loading_session_id]) == [order.loading_session_id]
    assert pool.heartbeat("s1", [order.loading_session_id]) == [order.loading_session_id]

    assert pool.hash("reserved:s1") == {order.loading_session_id: "unknown 0"}


@pytest.mark.parametrize("listed", [True, False])
def test_an_unknown_session_is_not_ended_while_its_match_may_come_back_to_it(pool: Pool, listed: bool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.fail(order, "unknown")

    for _ in range(3):
        assert pool.heartbeat("s1", [order.loading_session_id] if listed else []) == []

    assert pool.hash("reserved:s1") == ({order.loading_session_id: "unknown 0"} if listed else {})


def test_an_unknown_slot_denied_twice_is_free(pool: Pool) -> None:
    order = unknown_slot(pool)

    pool.heartbeat("s1", [])
    assert pool.hash("reserved:s1") == {order.loading_session_id: "unknown 1"}
    pool.heartbeat("s1", [])

    assert pool.hash("reserved:s1") == {}


def test_without_lists_an_unknown_slot_is_free_after_two_heartbeats(pool: Pool) -> None:
    order = unknown_slot(pool)

    pool.heartbeat("s1", None)
    assert pool.hash("reserved:s1") == {order.loading_session_id: "unknown 1"}
    pool.heartbeat("s1", None)

    assert pool.hash("reserved:s1") == {}


def test_without_lists_a_create_under_way_keeps_its_slot(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")

    for _ in range(3):
        pool.heartbeat("s1", None)

    assert pool.confirm(order).code == "matched"


def test_an_unknown_slot_listed_in_between_must_be_denied_twice_again(pool: Pool) -> None:
    order = unknown_slot(pool)

    for listed in ([], [order.loading_session_id], []):
        pool.heartbeat("s1", listed)

    assert pool.hash("reserved:s1") == {order.loading_session_id: "unknown 1"}


def test_a_full_server_has_room_again_after_its_heartbeat(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    pool.fail(pool.allocating("ann", "bob"), "full")

    pool.heartbeat("s1", [])

    assert pool.free("s1") == 2


def test_a_heartbeat_does_not_end_a_quarantine(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    order = pool.allocating("ann", "bob")
    pool.another_failed_on("s1")
    pool.fail(order, "error")

    pool.heartbeat("s1", [])

    assert pool.free("s1") == 0


def test_a_slot_that_changed_since_the_comparison_is_judged_by_what_it_is_now(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    order = pool.found("ann", "bob", session_id="theirs")
    pool.end("s1", "theirs")

    # The node read its slots before the end: it thinks that `theirs` is absent, and that `newcomer` is a stranger.
    pool.redis("HSET", f"{pool.prefix}active:s1", "newcomer", 0)
    late = pool.run("heartbeat_server", "s1", "", SECOND_US, "live", "beat", 0, 1, items=[("theirs",), ("newcomer",)])

    assert late == [b"ok", b""]
    assert pool.hash("active:s1") == {"newcomer": "0"}
    assert order.server_id == "s1"


def test_a_list_of_many_sessions_goes_in_parts(pool: Pool) -> None:
    kept = [f"k{number}" for number in range(600)]
    gone = [f"g{number}" for number in range(700)]
    strangers = [f"s{number}" for number in range(800)]
    pool.register("s1", capacity=2000, active_sessions=(*kept, *gone))

    for _ in range(2):
        assert sorted(pool.heartbeat("s1", kept + strangers) or ()) == sorted(strangers)

    assert set(pool.hash("active:s1")) == set(kept)
    assert pool.free("s1") == 1400


def test_a_process_whose_id_another_one_has_taken_is_told_and_changes_nothing(pool: Pool) -> None:
    pool.register("s1", incarnation="old")
    pool.register("s1", incarnation="new")

    with pool.nothing_changes():
        heard = pool.do(pool.registry.heartbeat("s1", incarnation="old", draining=True, active_sessions=["a"]))
    assert heard.code == "taken"

    assert pool.heartbeat("s1", incarnation="new") == []
    assert pool.heartbeat("s1") == [], "one that does not say which it is"


def test_the_next_heartbeat_is_told_once_that_nothing_answers_at_the_control_url(pool: Pool) -> None:
    pool.register("s1", incarnation="one")
    assert pool.do(pool.registry.note_unreachable("s1", "one", "connection refused"))

    record = pool.servers()["s1"].record
    assert record["last_error"] == "connection refused"
    assert int(record["last_error_at_us"]) > 0
    told = [pool.do(pool.registry.heartbeat("s1", draining=None, active_sessions=None)).unreachable for _ in range(2)]
    assert told == ["connection refused", ""]


def test_what_was_seen_of_a_server_that_has_gone_since_is_not_noted(pool: Pool) -> None:
    pool.register("s1", incarnation="two")
    with pool.nothing_changes():
        assert not pool.do(pool.registry.note_unreachable("s1", "one", "connection refused"))
        assert not pool.do(pool.registry.note_unreachable("s2", "", "connection refused"))
