"""An enqueue whose first answer was lost because its node stood still: the soak found it, seed 404."""

from match_server.store.journey import Enqueue, Step
from tests.store.pool import JUST_NOW, LEASE_SECONDS, Pool, answered, code


def test_a_node_that_was_thought_dead_repeats_an_enqueue_and_takes_its_player_back(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")  # the answer is lost: the node stands still for longer than its lease
    pool.move_clock(LEASE_SECONDS + 1)
    pool.renew("n2")
    assert pool.sweep(node="n2").dead_nodes == ("n1",)

    assert pool.enqueue("ann", node="n1") == ["held"], "its own repeat, and no refusal"

    assert pool.catch_up("ann")[0] == "behind"
    pool.reassert("ann", seq=int(pool.record("ann")["queued_seq"]))
    assert pool.record("ann")["connection"] == "ann/1"


def test_a_connection_that_asks_anew_is_told_that_the_held_player_is_its_own(pool: Pool) -> None:
    """It was told `server_busy`, and repeats its request (docs/races.md, 28)."""
    pool.enqueue("ann", node="n1")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    again = Enqueue("ann", "ann/1", 2, "another-token", JUST_NOW)
    (answer,) = pool.step("duel", Step(enqueues=[again])).enqueues

    record = pool.record("ann")
    assert code(answer) == "already_in_queue"
    assert answered(answer).fields[:2] == ("token-of-ann", record["queued_seq"])
    assert pool.score("held", "ann") is not None, "the script leaves the rest to the session"


def test_another_connection_is_still_refused_a_held_player(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")
    pool.move_clock(LEASE_SECONDS + 1)
    pool.sweep(node="n2")

    assert pool.enqueue("ann", connection="ann/2", node="n2") == ["elsewhere"]
