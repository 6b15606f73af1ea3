"""An enqueue whose first answer was lost because its node stood still: the soak found it, seed 404."""

from tests.store.pool import LEASE_SECONDS, Pool


def test_a_node_that_was_thought_dead_repeats_an_enqueue_and_takes_its_player_back(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")  # the answer is lost: the node stands still for longer than its lease
    pool.move_clock(LEASE_SECONDS + 1)
    pool.renew("n2")
    assert pool.sweep(node="n2").dead_nodes == ("n1",)

    assert pool.enqueue("ann", node="n1") == ["queued"], "its own repeat, and no refusal"

    assert pool.catch_up("ann")[0] == "behind"
    pool.reassert("ann", seq=int(pool.record("ann")["queued_seq"]))
    assert pool.record("ann")["connection"] == "ann/1"


def test_another_connection_is_still_refused_a_held_player(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    assert pool.enqueue("ann", connection="ann/2", node="n2") == ["already_in_queue"]
