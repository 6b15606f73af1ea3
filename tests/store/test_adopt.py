from match_server.servers.provider import Order
from tests.store.pool import LEASE_SECONDS, SECOND_US, Pool, kinds


def test_an_allocation_whose_lease_ran_out_is_taken_over_as_it_was(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    order = pool.allocating("ann", "bob")
    slots = pool.hash("reserved:s1")
    pool.everything_said()
    pool.move_clock(LEASE_SECONDS + 1)

    assert pool.adopt(node="n2") == [order], "the same attempt on the same server"

    assert pool.hash("reserved:s1") == slots
    assert pool.hash(f"loading:{order.loading_session_id}")["#node"] == "n2"
    assert pool.everything_said() == []
    assert pool.confirm(order).code == "matched"


def test_a_lease_that_runs_is_left_alone(pool: Pool) -> None:
    pool.register("s1")
    pool.allocating("ann", "bob")
    pool.move_clock(LEASE_SECONDS - 1)

    with pool.nothing_changes():
        assert pool.adopt() == []


def test_the_repeat_adopts_nothing_twice(pool: Pool) -> None:
    pool.register("s1")
    pool.allocating("ann", "bob")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.adopt(node="n2")

    with pool.nothing_changes():
        assert pool.adopt(node="n2") == []
        assert pool.adopt(node="n3") == []


def test_a_node_keeps_its_allocation_by_renewing_it(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.move_clock(LEASE_SECONDS - 1)
    pool.renew(allocations=[("duel", order.loading_session_id)])
    pool.move_clock(LEASE_SECONDS - 1)

    assert pool.adopt() == []


def test_a_match_that_waits_for_a_slot_is_nobodys_to_adopt(pool: Pool) -> None:
    pool.register("s1")
    pool.fail(pool.allocating("ann", "bob"), "error")
    pool.move_clock(20)

    with pool.nothing_changes():
        assert pool.adopt() == []


def test_a_server_that_is_gone_is_replaced_in_the_next_attempt(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.do(pool.registry.remove("s1"))
    pool.register("s2")
    pool.move_clock(LEASE_SECONDS + 1)

    (adopted,) = pool.adopt(node="n2")

    assert (adopted.server_id, adopted.attempt) == ("s2", 2)
    assert adopted.loading_session_id == order.loading_session_id


def test_with_the_last_attempt_gone_too_the_players_go_back(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.redis("HSET", f"{pool.prefix}loading:{order.loading_session_id}", "#attempt", 3)
    pool.do(pool.registry.remove("s1"))
    pool.register("s2")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.everything_said()

    assert pool.adopt() == []

    assert kinds(pool.frames("ann")) == ["match_cancelled", "queued"]
    assert pool.members("queue:duel:front") == ["ann", "bob"]
    assert pool.free("s2") == 1


def test_with_no_server_left_an_adopted_match_waits_for_a_slot(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.do(pool.registry.remove("s1"))
    pool.move_clock(LEASE_SECONDS + 1)

    assert pool.adopt() == []

    assert pool.members("sessions:unplaced:duel") == [order.loading_session_id]


def test_a_match_whose_players_have_all_left_is_not_placed_again(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.do(pool.registry.remove("s1"))
    pool.register("s2")
    for player in ("ann", "bob"):
        pool.leave(player, reason="disconnected")
    pool.move_clock(LEASE_SECONDS + 1)

    assert pool.adopt(node="n2") == []

    assert pool.free("s2") == 1
    assert f"loading:{order.loading_session_id}" not in pool.key_names()
    assert kinds(pool.frames("ann"))[-1] == "dequeued"


def test_one_call_takes_over_no_more_than_its_limit(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    orders = [pool.allocating(f"a{number}", f"b{number}") for number in range(3)]
    pool.move_clock(LEASE_SECONDS + 1)

    call = ("adopt", "n2", LEASE_SECONDS * SECOND_US, 0, "spread", 3, 4)

    replies = [pool.run(*call) for _ in range(3)]

    assert [reply[0] for reply in replies] == [1, 0, 0]
    found = [Order.parse(order.decode()) for reply in replies for order in reply[1:]]
    assert [len(reply) - 1 for reply in replies] == [2, 1, 0]
    assert {order.loading_session_id for order in found} == {order.loading_session_id for order in orders}


def test_the_old_node_that_wakes_up_cannot_undo_what_the_new_one_finished(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.adopt(node="n2")
    pool.confirm(order)

    with pool.nothing_changes():
        assert pool.fail(order, "unknown", node="n1") == ("stale", None)
        assert pool.confirm(order).code == "matched"


def test_the_new_lease_starts_at_the_adoption(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    before = pool.score("sessions:allocating:duel", order.loading_session_id)
    pool.move_clock(100)
    pool.adopt()

    after = pool.score("sessions:allocating:duel", order.loading_session_id)
    assert before is not None
    assert after is not None
    assert 100 * SECOND_US <= after - before < 101 * SECOND_US


def test_an_entry_without_a_session_does_not_stop_the_others(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.redis("ZADD", f"{pool.prefix}sessions:allocating:duel", 1, "ghost")
    pool.move_clock(LEASE_SECONDS + 1)

    assert pool.adopt() == [order]
    assert pool.members("sessions:allocating:duel") == [order.loading_session_id]


def test_an_allocation_that_cannot_be_taken_over_keeps_no_other_waiting(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    first, broken, third = (pool.allocating(*players) for players in (("ann", "bob"), ("cid", "dan"), ("eve", "fay")))
    pool.redis("HDEL", f"{pool.prefix}loading:{broken.loading_session_id}", "#players")
    pool.do(pool.registry.remove("s1"))
    pool.register("s2", capacity=5)
    pool.move_clock(LEASE_SECONDS + 1)
    pool.register("s2", capacity=5)

    adopted = pool.adopt(node="n2")

    assert {order.loading_session_id for order in adopted} == {first.loading_session_id, third.loading_session_id}
    assert pool.hash("reserved:s2").keys() == {order.loading_session_id for order in adopted}
    with pool.nothing_changes():
        assert pool.adopt(node="n2") == []
