from tests.store.pool import GRACE_SECONDS, SECOND_US, Pool


def test_a_held_player_is_out_of_the_matchers_reach(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann", "bob")

    assert pool.hold("ann") == "held"

    assert pool.members("queue:duel") == ["bob"]
    assert pool.match().formed == 0
    assert pool.enqueue("cid") == ["queued"]
    assert pool.match().formed == 1
    assert pool.record("ann")["state"] == "queued"


def test_a_held_player_keeps_its_seniority_for_its_grace(pool: Pool) -> None:
    pool.enqueue("ann")
    before = pool.record("ann")

    pool.hold("ann")

    assert pool.record("ann") == before | {"connection": "", "lost": "ann/1"}
    assert pool.score("waiting:duel", "ann") == int(before["enqueued_at"])
    held_until = pool.score("held", "ann")
    assert held_until is not None
    assert 0 <= held_until - int(before["enqueued_at"]) - GRACE_SECONDS * SECOND_US < SECOND_US
    assert "node_players:n1" not in pool.key_names()
    assert pool.queue().waiting == 0
    assert pool.queue().held == 1


def test_a_player_put_back_in_front_is_held_from_there(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.leave("ann")
    assert pool.members("queue:duel:front") == ["bob"]

    assert pool.hold("bob") == "held"

    assert pool.members("queue:duel:front") == []


def test_nobody_is_told_of_a_hold(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.everything_said()

    pool.hold("ann")

    assert pool.everything_said() == []


def test_the_repeat_of_a_hold_is_answered_alike_and_does_not_prolong_the_grace(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    pool.move_clock(2)

    pool_before = pool.score("held", "ann")
    assert pool.hold("ann") == "held"
    assert pool.score("held", "ann") == pool_before


def test_another_connection_holds_nobody(pool: Pool) -> None:
    pool.enqueue("ann")

    with pool.nothing_changes():
        assert pool.hold("ann", connection="older") == "not_in_queue"
        assert pool.hold("nobody") == "not_in_queue"
    pool.hold("ann")
    pool.resume("ann", connection="ann/2")
    with pool.nothing_changes():
        assert pool.hold("ann", connection="ann/1") == "not_in_queue"


def test_a_matched_player_needs_no_hold(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")

    with pool.nothing_changes():
        assert pool.hold("ann") == "not_in_queue"


def test_a_loading_player_is_held_within_its_session(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")

    assert pool.hold("ann") == "held"

    assert pool.record("ann")["state"] == "loading"
    assert pool.hash(f"loading:{session}")["ann"] == "loading"
    assert pool.ready("bob").code == "ok"
    assert pool.record("bob")["state"] == "loading", "the session waits for the held one"
    assert pool.resume("ann", connection="ann/2")[0] == "ok"
    assert pool.ready("ann", connection="ann/2").order is not None


def test_a_held_player_whose_match_is_cancelled_stays_out_of_reach_with_its_seniority(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob", "cid", mode="trio")
    enqueued_at = int(pool.record("ann")["enqueued_at"])
    pool.hold("ann")

    pool.leave("bob")

    assert pool.record("ann")["state"] == "queued"
    assert pool.members("queue:trio:front") == ["cid"]
    assert pool.score("waiting:trio", "ann") == enqueued_at
    pool.resume("ann", connection="ann/2")
    assert pool.members("queue:trio:front") == ["ann", "cid"]
    assert pool.score("queue:trio:front", "ann") == enqueued_at
