from tests.store.pool import Pool


def test_what_a_stopping_node_works_on_is_adopted_at_once_as_it_was(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    order, other = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")

    assert pool.hand_over(order) == 1

    assert pool.adopt(node="n2") == [order], "the same attempt on the same server"
    assert pool.confirm(order).code == "matched"
    assert pool.confirm(other).code == "matched", "and n1 still has the other"


def test_the_repeat_hands_over_nothing_that_another_node_has_adopted(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.hand_over(order)
    pool.adopt(node="n2")

    with pool.nothing_changes():
        assert pool.hand_over(order) == 0
        assert pool.adopt(node="n3") == []


def test_a_match_that_waits_for_a_slot_has_no_lease_to_end(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.fail(order, "error")

    with pool.nothing_changes():
        assert pool.hand_over(order) == 0


def test_a_match_that_is_over_stays_over(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.confirm(order)

    with pool.nothing_changes():
        assert pool.hand_over(order) == 0
