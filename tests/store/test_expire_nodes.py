import pytest

from tests.store.pool import GRACE_SECONDS, LEASE_SECONDS, SECOND_US, Pool

CALL = ("expire_nodes", 100, GRACE_SECONDS * SECOND_US)


def test_the_players_of_a_dead_node_are_held_and_then_dropped(pool: Pool) -> None:
    pool.register("s1")
    pool.renew("n2")
    pool.renew("n1", info='{"address": "http://n1"}')
    pool.enqueue("ann", node="n1")
    pool.enqueue("bob", node="n2")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.renew("n2")

    swept = pool.sweep(node="n2")

    assert (swept.dead_nodes, swept.dead_addresses) == (("n1",), ("http://n1",))
    assert pool.record("ann")["connection"] == ""
    assert pool.members("queue:duel") == ["bob"]
    assert pool.members("nodes") == ["n2"]
    assert "node_players:n1" not in pool.key_names()
    assert pool.match().formed == 0
    pool.move_clock(GRACE_SECONDS + 1)
    pool.renew("n2")
    assert pool.sweep(node="n2").grace_ended == 1
    assert pool.frames("ann")[-1]["reason"] == "disconnected"


@pytest.mark.parametrize("info", ["not JSON", "[]", "null", '{"address": null}'])
def test_what_a_node_said_of_itself_stops_no_sweep(pool: Pool, info: str) -> None:
    pool.renew("n1", info=info)
    pool.enqueue("ann", node="n1")
    pool.move_clock(LEASE_SECONDS + 1)
    swept = pool.sweep(node="n2")
    assert (swept.dead_nodes, swept.dead_addresses) == (("n1",), ())
    assert pool.members("held") == ["ann"]


def test_a_mode_with_a_grace_of_its_own_drops_the_players_of_a_dead_node_by_it(pool: Pool) -> None:
    pool.enqueue("ann", mode="duel")
    pool.enqueue("bob", mode="trio")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2", own_graces={"duel": GRACE_SECONDS / 2})

    pool.move_clock(GRACE_SECONDS / 2)

    assert pool.sweep(node="n2").grace_ended == 1
    assert pool.frames("ann")[-1]["reason"] == "disconnected"
    assert pool.members("held") == ["bob"]


def test_a_player_of_a_dead_node_comes_back_on_another(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    assert pool.resume("ann", connection="ann/2", node="n2")[0] == "ok"

    assert pool.members("queue:duel:front") == ["ann"]
    assert pool.members("node_players:n2") == ["ann"]


def test_a_lease_that_runs_is_left_alone(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.move_clock(LEASE_SECONDS - 1)

    with pool.nothing_changes():
        assert pool.run(*CALL) == [0]


def test_a_loading_player_of_a_dead_node_keeps_its_session_for_its_grace(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    assert pool.record("ann")["state"] == "loading"
    assert pool.members("held") == ["ann", "bob"]


def test_a_player_who_moved_to_another_node_is_not_held(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")
    pool.redis("SADD", f"{pool.prefix}node_players:n1", "moved")
    pool.enqueue("moved", node="n2")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.renew("n2")

    assert pool.run(*CALL) == [1, b"n1", b"{}"]

    assert pool.record("moved")["connection"] == "moved/1"
    assert pool.members("queue:duel") == ["moved"]


def test_more_players_than_one_sweep_may_hold_are_held_by_the_next(pool: Pool) -> None:
    pool.enqueue("ann", "bob", "cid")
    pool.move_clock(LEASE_SECONDS + 1)

    call = ("expire_nodes", 2, GRACE_SECONDS * SECOND_US)

    assert [pool.run(*call) for _ in range(3)] == [[2, b"n1", b"{}"], [1, b"n1", b"{}"], [0]]
    assert sorted(pool.members("held")) == ["ann", "bob", "cid"]


def test_the_repeat_of_a_sweep_changes_nothing(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.run(*CALL)

    with pool.nothing_changes():
        assert pool.run(*CALL) == [0]


def test_a_matched_player_needs_no_node(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")
    pool.move_clock(LEASE_SECONDS + 1)

    assert pool.run(*CALL) == [0, b"n1", b"{}"]
    assert pool.record("ann")["connection"] == "ann/1"


def test_a_node_whose_players_cannot_be_read_keeps_no_other_alive(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.renew("broken")
    pool.redis("SET", f"{pool.prefix}node_players:broken", "rubbish")
    pool.move_clock(LEASE_SECONDS + 1)

    assert pool.run(*CALL) == [1, b"n1", b"{}"]

    assert pool.members("held") == ["ann"]


def test_the_limit_is_one_for_the_players_of_all_nodes_together(pool: Pool) -> None:
    pool.enqueue("ann", "bob", node="n1")
    pool.enqueue("cid", "dan", node="n2")
    pool.renew("n2")
    pool.move_clock(LEASE_SECONDS + 1)

    held = [pool.run("expire_nodes", 3, GRACE_SECONDS * SECOND_US)[0] for _ in range(3)]

    assert held == [3, 1, 0]
