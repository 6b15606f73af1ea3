import pytest

from match_server.store.journey import Answer
from tests.store.pool import Pool, kinds, put_back, without_seq


def test_a_queued_player_leaves_at_once_and_is_told_so(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.frames("ann")

    left = pool.leave("ann")

    tomb = pool.hash("left:ann")
    assert left == Answer("ok", (tomb["frame"], ""))
    assert pool.texts("ann") == [f'{{"type":"dequeued","seq":{tomb["seq"]},"reason":"requested"}}']
    assert pool.key_names() == {"clock", "events", "modes", "modes:waiting", "nodes", "nodes:info", "left:ann"}


def test_what_is_left_of_a_player_is_a_tombstone_for_a_minute(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.leave("ann", reason="disconnected")

    tomb = pool.hash("left:ann")
    assert tomb["connection"] == "ann/1"
    assert tomb["operation"] == "2"
    assert tomb["frame"] == f'{{"type":"dequeued","seq":{tomb["seq"]},"reason":"disconnected"}}'
    assert 0 < pool.ttl("left:ann") <= 60


def test_the_repeat_of_a_leave_is_ok_and_changes_nothing(pool: Pool) -> None:
    pool.enqueue("ann")
    first = pool.leave("ann")

    with pool.nothing_changes():
        assert pool.leave("ann") == first


def test_a_late_repeat_of_a_leave_cannot_hit_the_journey_after_it(pool: Pool) -> None:
    pool.enqueue("ann", operation=1)
    pool.leave("ann", operation=2)
    pool.enqueue("ann", operation=3)

    with pool.nothing_changes():
        assert pool.leave("ann", operation=2) == Answer("ok")


def test_who_is_in_no_queue_has_none_to_leave(pool: Pool) -> None:
    with pool.nothing_changes():
        assert pool.leave("ann") == Answer("not_in_queue")


def test_another_connection_cannot_make_a_player_leave(pool: Pool) -> None:
    pool.enqueue("ann")

    with pool.nothing_changes():
        assert pool.leave("ann", connection="thief") == Answer("not_in_queue")
    pool.leave("ann")
    with pool.nothing_changes():
        assert pool.leave("ann", connection="thief") == Answer("not_in_queue")


def test_leaving_a_loading_session_sends_the_others_back_in_front(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob", "cid", mode="trio")
    enqueued_at = int(pool.record("bob")["enqueued_at"])
    for player in ("ann", "bob", "cid"):
        pool.frames(player)
    pool.move_clock(3)

    left = pool.leave("ann")

    assert left == Answer("ok", (pool.hash("left:ann")["frame"], session))

    assert without_seq(pool.frames("ann")) == [{"type": "dequeued", "reason": "requested"}]
    for player in ("bob", "cid"):
        assert without_seq(pool.frames(player)) == put_back(player, session, "player_left", mode="trio")
    assert pool.members("queue:trio:front") == ["bob", "cid"]
    assert pool.score("queue:trio:front", "bob") == enqueued_at, "seniority is kept"
    assert pool.score("waiting:trio", "bob") == enqueued_at
    assert pool.record("bob")["loading_session_id"] == ""
    assert pool.members("node_players:n1") == ["bob", "cid"]
    assert not {key for key in pool.key_names() if key.startswith(("loading:", "sessions:"))}


def test_the_repeat_of_leaving_a_loading_session_changes_nothing(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    first = pool.leave("ann")

    with pool.nothing_changes():
        assert pool.leave("ann") == first


def test_an_exact_cancellation_is_what_players_read(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.texts("bob")
    pool.leave("ann")

    cancelled, queued = pool.texts("bob")
    seq = int(pool.record("bob")["cancelled_seq"])
    assert cancelled == (
        f'{{"type":"match_cancelled","seq":{seq},"loading_session_id":"{session}","reason":"player_left","requeued":true}}'
    )
    assert queued == (
        f'{{"type":"queued","seq":{seq + 1},"game_mode":"duel","resume_token":"token-of-bob","requeued":true}}'
    )
    assert pool.record("bob")["cancelled"] == cancelled


def test_it_is_too_late_to_leave_once_the_session_is_being_placed(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")

    with pool.nothing_changes():
        assert pool.leave("ann") == Answer("too_late", ("allocating", order.loading_session_id))
    pool.confirm(order)
    with pool.nothing_changes():
        assert pool.leave("ann") == Answer("too_late", ("matched", order.loading_session_id))


def test_a_closed_clients_match_goes_on_without_it(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")

    assert pool.leave("ann", reason="disconnected") == Answer("ok")

    assert pool.record("ann")["connection"] == ""
    assert pool.members("node_players:n1") == ["bob"]
    assert pool.confirm(order).players == ("ann", "bob")
    assert pool.record("ann")["state"] == "matched", "its match is there, should it come back"


@pytest.mark.parametrize("state", ["allocating", "matched"])
def test_the_repeat_of_a_closed_clients_leave_is_ok_too(pool: Pool, state: str) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    if state == "matched":
        pool.confirm(order)
    pool.leave("ann", reason="disconnected")

    with pool.nothing_changes():
        assert pool.leave("ann", reason="disconnected") == Answer("ok")
        assert pool.leave("ann", reason="disconnected", connection="thief") == Answer("not_in_queue")


def test_who_left_during_the_allocation_is_not_waited_for_when_it_fails(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.leave("ann", reason="disconnected")
    pool.frames("bob")

    assert pool.fail(order, "error")[0] == "waiting"
    pool.move_clock(31)
    pool.renew()
    assert len(pool.sweep().without_slot) == 1

    assert kinds(pool.frames("ann"))[-1] == "dequeued"
    assert pool.record("ann") == {}
    assert kinds(pool.frames("bob")) == ["match_cancelled", "queued"]
    assert pool.members("queue:duel:front") == ["bob"]


def test_a_held_player_leaves_only_by_the_end_of_its_grace(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")

    with pool.nothing_changes():
        assert pool.leave("ann") == Answer("not_in_queue"), "its connection owns it no longer"
