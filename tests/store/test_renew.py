from match_server.store.upkeep import SWEPT_PER_CALL
from tests.store.pool import LEASE_SECONDS, SIZES, Pool


def test_a_new_node_is_not_known_and_a_renewed_one_is(pool: Pool) -> None:
    assert pool.renew("n2") is False
    assert pool.renew("n2") is True
    assert pool.members("modes") == sorted(SIZES)


def test_a_node_that_was_declared_dead_learns_of_it(pool: Pool) -> None:
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    assert pool.renew("n1") is False


def test_a_lease_runs_from_the_last_renewal(pool: Pool) -> None:
    for _ in range(3):
        pool.move_clock(LEASE_SECONDS - 1)
        assert pool.renew("n1") is True
        assert pool.sweep().dead_nodes == ()


def test_the_leases_of_allocations_are_renewed_with_the_nodes(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    before = pool.score("sessions:allocating:duel", order.loading_session_id)
    pool.move_clock(2)

    pool.renew(allocations=[("duel", order.loading_session_id)])

    after = pool.score("sessions:allocating:duel", order.loading_session_id)
    assert before is not None
    assert after is not None
    assert after - before >= 2_000_000


def test_an_allocation_that_has_ended_is_not_brought_back(pool: Pool) -> None:
    pool.register("s1")
    order = pool.found("ann", "bob")

    pool.renew(allocations=[("duel", order.loading_session_id)])

    assert "sessions:allocating:duel" not in pool.key_names()


def test_a_match_that_waits_for_a_slot_needs_no_lease(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.fail(order, "error")
    pool.renew(allocations=[("duel", order.loading_session_id)])
    pool.move_clock(LEASE_SECONDS + 1)

    with pool.nothing_changes():
        assert pool.adopt() == []


def test_the_renewal_of_allocations_does_not_hide_that_the_node_was_declared_dead(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    pool.renew(allocations=[("duel", order.loading_session_id)])

    assert pool.renew("n1") is False


def test_a_node_with_more_players_than_one_sweep_holds_learns_that_it_was_declared_dead(pool: Pool) -> None:
    players = [f"p{number}" for number in range(SWEPT_PER_CALL + 1)]
    pool.enqueue(*players)
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    assert pool.renew("n1") is False
    assert pool.renew("n1") is True


def test_more_leases_than_one_call_takes_are_all_renewed(pool: Pool) -> None:
    sessions = [f"session-{number}" for number in range(1100)]
    key = f"{pool.prefix}sessions:allocating:duel"
    pool.redis("ZADD", key, *(part for session in sessions for part in (1, session)))

    pool.renew(allocations=[("duel", session) for session in sessions])

    assert pool.redis("ZCOUNT", key, pool.now_us(), "+inf") == len(sessions)
