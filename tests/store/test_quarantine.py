"""Servers that are full, fail or are in quarantine: when they are asked again."""

import pytest

from match_server.store.journey import Outcome
from tests.store.pool import SECOND_US, Pool


def test_full_counts_no_free_slots_until_the_next_heartbeat(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    pool.fail(pool.allocating("ann", "bob"), "full")
    pool.move_clock(1)
    assert pool.free("s1") == 0
    assert pool.place() == []

    pool.heartbeat("s1")

    assert pool.free("s1") == 5
    assert len(pool.place()) == 1


def test_a_full_server_that_says_nothing_is_asked_again_after_five_seconds(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    pool.fail(pool.allocating("ann", "bob"), "full")

    pool.move_clock(4.9)
    pool.sweep()
    assert pool.free("s1") == 0
    pool.move_clock(0.2)
    pool.sweep()

    assert pool.free("s1") == 5
    assert len(pool.place()) == 1


def test_a_full_server_that_failed_before_is_not_asked_before_its_five_seconds(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    first, second = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")
    pool.fail(first, "full")
    pool.fail(second, "error")

    pool.move_clock(1)
    pool.sweep()

    assert pool.free("s1") == 0


def test_a_quarantine_is_no_longer_for_an_earlier_full(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    first, second = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")
    pool.fail(first, "full")
    pool.heartbeat("s1")
    pool.another_failed_on("s1")
    pool.fail(second, "error")

    pool.move_clock(0.6)
    pool.sweep()

    assert pool.free("s1") == 1


def test_a_full_server_is_asked_again_also_when_a_session_of_it_is_confirmed_meanwhile(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    failed, full = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")
    made = pool.allocating("eve", "fay")
    pool.fail(failed, "error")
    pool.fail(full, "full")
    pool.confirm(made)

    pool.move_clock(5.1)
    pool.sweep()

    assert pool.free("s1") == 4


def test_an_end_says_that_a_full_server_has_room_again(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    pool.fail(pool.allocating("ann", "bob"), "full")

    pool.end("s1", "some-other")

    assert pool.free("s1") == 5


def test_a_quarantine_is_twice_as_long_after_each_failure_in_a_row(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    lengths = []
    pool.ready("ann")
    order = pool.ready("bob").order
    for _ in range(2):
        assert order is not None
        taken = int(pool.hash("reserved:s1")[order.loading_session_id])
        pool.another_failed_on("s1")
        assert pool.fail(order, "error") == ("waiting", None)
        pool.redis("HDEL", f"{pool.prefix}server:s1", "failed_by")  # so that the same match may probe it
        lengths.append((int(pool.servers()["s1"].record["quarantined_until"]) - taken) / SECOND_US)
        pool.move_clock(lengths[-1] + 0.1)
        pool.sweep()
        (order,) = pool.place()

    assert 0.5 <= lengths[0] < 0.9
    assert 1 <= lengths[1] < 1.4


def test_a_quarantine_never_exceeds_half_a_minute(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.another_failed_on("s1")
    pool.redis("HSET", f"{pool.prefix}server:s1", "failures", 500)
    taken = int(pool.hash("reserved:s1")[order.loading_session_id])

    pool.fail(order, "error")

    assert 30 <= (int(pool.servers()["s1"].record["quarantined_until"]) - taken) / SECOND_US < 31


def test_a_single_match_probes_a_server_after_its_quarantine(pool: Pool) -> None:
    pool.register("s1", capacity=10)
    orders = [pool.allocating("ann", "bob"), pool.allocating("cid", "dan"), pool.allocating("eve", "fay")]
    for order in orders:
        assert pool.fail(order, "error")[0] == "waiting"
    assert pool.place() == []

    pool.move_clock(3)
    pool.sweep()

    assert pool.free("s1") == 1
    (probe,) = pool.place()
    assert pool.servers()["s1"].record["probe"] == probe.loading_session_id
    assert pool.free("s1") == 0
    pool.confirm(probe)
    assert pool.free("s1") == 9
    assert len(pool.place()) == 2


@pytest.mark.parametrize("outcome", ["error", "unknown", "full"])
def test_a_probe_that_fails_does_not_shut_a_server_out_for_good(pool: Pool, outcome: Outcome) -> None:
    pool.register("s1", capacity=3)
    first, second = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")
    pool.fail(first, "error")
    pool.fail(second, "error")
    pool.move_clock(1)
    pool.sweep()
    (probe,) = pool.place()
    assert probe.loading_session_id == first.loading_session_id, "the other one was the last to fail"

    assert pool.fail(probe, outcome)[0] == "waiting"
    assert pool.free("s1") == 0

    pool.move_clock(3)
    pool.sweep()
    pool.heartbeat("s1")
    assert pool.free("s1") == 1


def test_no_match_forms_for_a_server_in_quarantine(pool: Pool) -> None:
    pool.register("s1", capacity=3)
    order = pool.allocating("ann", "bob")
    pool.another_failed_on("s1")
    pool.fail(order, "error")
    pool.enqueue("cid", "dan")

    assert pool.match().formed == 0
