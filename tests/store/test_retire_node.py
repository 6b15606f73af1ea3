from tests.store.pool import GRACE_SECONDS, SECOND_US, Pool


def test_whoever_is_left_on_a_stopping_node_is_held(pool: Pool) -> None:
    pool.enqueue("ann", "bob")
    pool.enqueue("cid", node="n2")

    assert pool.do(pool.upkeep("n1").retire(grace_us=GRACE_SECONDS * SECOND_US)) == 2

    assert pool.members("held") == ["ann", "bob"]
    assert pool.members("queue:duel") == ["cid"]
    assert pool.members("nodes") == ["n2"]  # which has no lease yet
    assert "node_players:n1" not in pool.key_names()


def test_the_repeat_holds_nobody_twice(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.run("retire_node", "n1", 1, 100)

    with pool.nothing_changes():
        assert pool.run("retire_node", "n1", 1, 100) == [0, 0]


def test_one_call_is_bounded_and_says_how_many_remain(pool: Pool) -> None:
    pool.enqueue("ann", "bob", "cid")

    assert [pool.run("retire_node", "n1", 1, 2) for _ in range(2)] == [[2, 1], [1, 0]]


def test_a_lease_lasts_until_the_last_player_is_held(pool: Pool) -> None:
    pool.enqueue("ann", "bob")
    pool.run("retire_node", "n1", 1, 1)
    assert pool.members("nodes") == ["n1"]

    pool.run("retire_node", "n1", 1, 1)

    assert pool.members("nodes") == []


def test_a_player_who_has_moved_on_is_not_held(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")
    pool.resume("ann", connection="ann/2", node="n2")

    assert pool.do(pool.upkeep("n1").retire(grace_us=1)) == 0
    assert pool.record("ann")["connection"] == "ann/2"


def test_a_held_player_of_a_retired_node_resumes_elsewhere_in_front(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.do(pool.upkeep("n1").retire(grace_us=30 * SECOND_US))
    pool.move_clock(29)
    pool.sweep(node="n2")

    assert pool.resume("ann", connection="ann/2", node="n2")[0] == "ok"
    assert pool.members("queue:duel:front") == ["ann"]
