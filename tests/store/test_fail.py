import pytest

from match_server.servers.provider import Order
from match_server.store.journey import Fail, Failed, Outcome
from tests.store.pool import ATTEMPTS, Pool, kinds, put_back, without_seq


def test_the_next_attempt_goes_to_another_server(pool: Pool) -> None:
    pool.register("s1")
    pool.register("s2")
    first = pool.allocating("ann", "bob")
    pool.everything_said()

    code, second = pool.fail(first, "error")

    assert code == "placed"
    assert second is not None
    assert (second.attempt, second.loading_session_id, second.players) == (2, first.loading_session_id, first.players)
    assert {first.server_id, second.server_id} == {"s1", "s2"}
    assert list(pool.hash(f"reserved:{second.server_id}")) == [first.loading_session_id]
    assert pool.hash(f"reserved:{first.server_id}") == {}
    assert pool.everything_said() == [], "players are not told of attempts"


def test_the_repeat_gives_the_same_order_and_changes_nothing(pool: Pool) -> None:
    pool.register("s1")
    pool.register("s2", capacity=5)
    first = pool.allocating("ann", "bob")
    answer = pool.fail(first, "error")

    with pool.nothing_changes():
        assert pool.fail(first, "error") == answer


def test_without_another_slot_the_match_waits_and_the_repeat_says_so_too(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")

    assert pool.fail(order, "error") == ("waiting", None)

    assert pool.members("sessions:unplaced:duel") == [order.loading_session_id]
    with pool.nothing_changes():
        assert pool.fail(order, "error") == ("waiting", None)


def test_when_the_attempts_are_used_up_the_players_go_back_in_front(pool: Pool) -> None:
    for number in range(ATTEMPTS):
        pool.register(f"s{number}")
    order: Order | None = pool.allocating("ann", "bob")
    enqueued_at = int(pool.record("ann")["enqueued_at"])
    pool.everything_said()

    for attempt in range(1, ATTEMPTS):
        assert order is not None
        assert order.attempt == attempt
        code, order = pool.fail(order, "error")
        assert code == "placed"
    assert order is not None
    assert pool.fail(order, "error") == ("cancelled", None)

    session = order.loading_session_id
    for player in order.players:
        assert without_seq(pool.frames(player)) == put_back(player, session, "allocation_failed")
    assert pool.members("queue:duel:front") == sorted(order.players)
    assert pool.score("queue:duel:front", "ann") == enqueued_at
    assert not {key for key in pool.key_names() if key.startswith(("loading:", "sessions:", "reserved:"))}
    with pool.nothing_changes():
        assert pool.fail(order, "error") == ("stale", None), "given up: there is nothing to answer for"


def test_the_attempt_of_another_is_stale(pool: Pool) -> None:
    pool.register("s1")
    pool.register("s2")
    first = pool.allocating("ann", "bob")
    _, second = pool.fail(first, "error")
    assert second is not None

    with pool.nothing_changes():
        assert pool.fail(first, "unknown", node="n2") == ("stale", None)
    pool.confirm(second)
    with pool.nothing_changes():
        assert pool.fail(second, "error") == ("stale", None)


def test_a_loading_session_has_no_attempt_to_fail(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    order = Order(session, 0, "duel", "", "", "", batch=False, players=())

    with pool.nothing_changes():
        assert pool.fail(order, "error") == ("stale", None)


@pytest.mark.parametrize(
    ("outcome", "slot", "code", "quarantined"),
    [
        ("full", {}, "waiting", False),
        ("wrong", {}, "refused", False),
        ("unreadable", {"the session": "unknown 0"}, "refused", True),
        ("error", {}, "waiting", True),
        ("unknown", {"the session": "unknown 0"}, "waiting", True),
    ],
)
def test_each_outcome_settles_the_slot(
    pool: Pool, outcome: Outcome, slot: dict[str, str], code: str, quarantined: bool
) -> None:
    pool.register("s1", capacity=5)
    order = pool.allocating("ann", "bob")
    pool.another_failed_on("s1")

    assert pool.fail(order, outcome) == (code, None)

    reserved = pool.hash("reserved:s1")
    assert {key.replace(order.loading_session_id, "the session"): value for key, value in reserved.items()} == slot
    server = pool.servers()["s1"].record
    assert ("quarantined_until" in server) == quarantined
    assert ("full" in server) == (outcome == "full")
    assert server["last_error"] == f"it was {outcome}"
    assert (pool.free("s1") == 0) == (outcome != "wrong")


def test_lost_settles_nothing_for_the_slot_is_void_already(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.register("s1", incarnation="second", capacity=1)

    code, second = pool.fail(order, "lost")

    assert code == "placed"
    assert second is not None
    assert (second.server_id, second.attempt) == ("s1", 2)
    assert "quarantined_until" not in pool.servers()["s1"].record


@pytest.mark.parametrize("outcome", ["error", "unknown", "full"])
def test_a_new_incarnation_does_not_answer_for_the_old_one(pool: Pool, outcome: Outcome) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.register("s1", incarnation="second")

    code, second = pool.fail(order, outcome)

    assert code == "placed"
    assert second is not None
    assert not {"quarantined_until", "full"} & pool.servers()["s1"].record.keys()
    assert list(pool.hash("reserved:s1")) == [order.loading_session_id]


def test_a_server_that_is_gone_leaves_nothing_behind(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.do(pool.registry.remove("s1"))

    assert pool.fail(order, "unknown") == ("waiting", None)

    assert not {key for key in pool.key_names() if key.endswith("s1")}
    assert "quarantine" not in pool.key_names()


def test_a_failed_match_requeues_held_players_out_of_reach(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.hold("ann", grace=100)
    pool.fail(order, "error")
    pool.move_clock(31)
    pool.renew()
    pool.sweep()

    assert pool.record("ann")["state"] == "queued"
    assert pool.members("queue:duel:front") == ["bob"]
    assert pool.queue().held == 1


def test_the_same_failure_twice_in_one_batch_takes_one_slot(pool: Pool) -> None:
    for server in ("s1", "s2", "s3"):
        pool.register(server)
    order = pool.allocating("ann", "bob")
    failure = Fail(order.loading_session_id, order.attempt, "error", "")

    first, second = pool.do(pool.journey().fail([failure, failure]))

    assert first == second
    assert sum(server.reserved for server in pool.servers().values()) == 1


def test_matches_that_fail_together_are_placed_on_what_all_their_servers_have_left(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    orders = [pool.allocating("ann", "bob"), pool.allocating("cid", "dan")]
    pool.register("s2", capacity=1)

    answers = pool.do(pool.journey().fail([Fail(order.loading_session_id, 1, "error", "") for order in orders]))

    assert sorted(answer.code for answer in answers if isinstance(answer, Failed)) == ["placed", "waiting"]
    assert pool.free("s1") == pool.free("s2") == 0


@pytest.mark.parametrize(("outcomes", "code"), [(["full", "wrong", "wrong"], "refused"), (["error"] * 3, "cancelled")])
def test_a_match_that_is_given_up_names_the_servers_of_all_its_attempts(
    pool: Pool, outcomes: list[Outcome], code: str
) -> None:
    for server in ("s1", "s2", "s3"):
        pool.register(server)
    order = pool.allocating("ann", "bob")
    tried = []
    answer = Failed("placed")
    for outcome in outcomes:
        tried.append(order.server_id)
        failure = Fail(order.loading_session_id, order.attempt, outcome, "")
        (failed,) = pool.do(pool.journey().fail([failure]))
        assert isinstance(failed, Failed)
        answer, order = failed, failed.next_order or order

    assert answer == Failed(code, tried=tuple(tried))
    assert sorted(tried) == ["s1", "s2", "s3"]


def test_a_match_whose_players_have_all_left_is_not_placed_again(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.register("s2")
    for player in ("ann", "bob"):
        pool.leave(player, reason="disconnected")

    assert pool.fail(order, "error") == ("left", None)

    assert pool.free("s2") == 1
    assert f"loading:{order.loading_session_id}" not in pool.key_names()
    assert kinds(pool.frames("ann"))[-1] == "dequeued"
    assert pool.fail(order, "error") == ("stale", None)


# --- one match that no server can make ---


def test_a_match_that_fails_again_and_again_does_not_quarantine_its_server(pool: Pool) -> None:
    """It comes back under another loading session's id, with its players in whatever order."""
    pool.register("s1", capacity=50)
    order = pool.allocating("ann", "bob")
    for attempt in range(1, ATTEMPTS):
        assert pool.fail(order, "error") == ("waiting", None)
        pool.found(f"x{attempt}", f"y{attempt}")  # another match succeeds
        pool.move_clock(attempt)
        (order,) = pool.place()
    pool.found("zoe", "zac")
    pool.everything_said()
    assert pool.fail(order, "error") == ("cancelled", None)
    assert pool.frames("ann") == [], "not at once: it would fail again as fast as it loads"
    pool.move_clock(1.1)
    pool.renew()
    pool.heartbeat("s1")
    assert pool.sweep().without_slot == (), "its attempts are used up: that was said before"
    assert pool.match().formed == 1
    pool.ready("bob")
    again = pool.ready("ann").order
    assert again is not None

    pool.fail(again, "error")

    assert "quarantined_until" not in pool.servers()["s1"].record


def test_a_match_that_failed_waits_before_it_is_tried_again_and_keeps_nobody_else_waiting(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    failed = pool.allocating("ann", "bob")
    assert pool.fail(failed, "error") == ("waiting", None)
    assert pool.place() == []

    other = pool.allocating("cid", "dan")
    pool.confirm(other)
    pool.move_clock(0.6)

    (again,) = pool.place()
    assert (again.loading_session_id, again.attempt) == (failed.loading_session_id, 2)


def test_a_match_that_failed_goes_to_another_server_at_once(pool: Pool) -> None:
    for server in ("s1", "s2"):
        pool.register(server, capacity=5)
    first = pool.allocating("ann", "bob")

    _, second = pool.fail(first, "error")

    assert second is not None
    assert second.server_id != first.server_id


def test_a_match_that_two_servers_refuse_as_wrong_is_given_up(pool: Pool) -> None:
    for server in ("s1", "s2", "s3"):
        pool.register(server, capacity=5)
    first = pool.allocating("ann", "bob")
    pool.frames("ann")

    code, second = pool.fail(first, "wrong")
    assert code == "placed"
    assert second is not None
    assert second.server_id != first.server_id
    assert pool.fail(second, "wrong") == ("refused", None)

    assert [(frame["type"], frame["reason"]) for frame in pool.frames("ann")] == [("dequeued", "refused")]
    assert pool.record("ann") == pool.record("bob") == {}
    assert not {key for key in pool.key_names() if key.startswith(("loading:", "sessions:", "reserved:"))}
    assert all("quarantined_until" not in server.record for server in pool.servers().values())


def test_a_refusal_is_no_failure_of_the_server_however_many_matches_it_refuses(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    for players in (("ann", "bob"), ("cid", "dan"), ("eve", "fay")):
        assert pool.fail(pool.allocating(*players), "wrong") == ("refused", None)
    assert pool.free("s1") == 9
