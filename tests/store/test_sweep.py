from match_server.store.upkeep import LostServer
from tests.store.pool import GRACE_SECONDS, LEASE_SECONDS, LOADING_SECONDS, SECOND_US, Pool

PERIOD_US = SECOND_US


def sweep(pool: Pool, run_id: str, new_epoch: str = "next") -> list[int]:
    """Whether deadlines may be acted on, and the gap."""
    act, gap_us, *_ = pool.run("sweep", PERIOD_US, run_id, new_epoch)
    return [act, gap_us]


def begin_anew(pool: Pool) -> None:
    """As if this Redis had never been used, or had lost everything."""
    pool.redis("DEL", f"{pool.prefix}clock")


def swept_ago(pool: Pool, seconds: float) -> None:
    """As if the last sweep had been that long ago on Redis' own clock."""
    pool.redis("HINCRBY", f"{pool.prefix}clock", "swept_us", -round(seconds * SECOND_US))


def stopped_seconds(pool: Pool) -> float:
    return int(pool.hash("clock").get("stopped_us", 0)) / SECOND_US


def test_the_first_sweep_of_all_may_act(pool: Pool) -> None:
    begin_anew(pool)
    assert sweep(pool, "run-1") == [1, 0]
    assert pool.hash("clock")["run_id"] == "run-1"
    assert stopped_seconds(pool) == 0


def test_sweeps_in_time_may_act(pool: Pool) -> None:
    begin_anew(pool)
    sweep(pool, "run-1")
    for _ in range(3):
        swept_ago(pool, 1.5)
        assert sweep(pool, "run-1") == [1, 0]
    assert stopped_seconds(pool) == 0


def test_after_a_gap_of_more_than_two_periods_the_clock_has_stood_still(pool: Pool) -> None:
    begin_anew(pool)
    sweep(pool, "run-1")
    swept_ago(pool, 8)

    act, gap_us = sweep(pool, "run-1")

    assert act == 0
    assert 8 * SECOND_US <= gap_us < 9 * SECOND_US
    assert stopped_seconds(pool) == gap_us / SECOND_US
    assert sweep(pool, "run-1") == [1, 0], "and the next sweep acts"


def test_a_new_run_id_stops_the_clock_for_the_time_in_between(pool: Pool) -> None:
    begin_anew(pool)
    sweep(pool, "run-1")
    swept_ago(pool, 1)

    act, gap_us = sweep(pool, "run-2")

    assert act == 0
    assert SECOND_US <= gap_us < 2 * SECOND_US
    assert stopped_seconds(pool) == gap_us / SECOND_US
    assert sweep(pool, "run-2") == [1, 0]


def test_a_clock_that_went_back_stops_nothing(pool: Pool) -> None:
    begin_anew(pool)
    sweep(pool, "run-1")
    swept_ago(pool, -100)

    sweep(pool, "run-2")

    assert stopped_seconds(pool) == 0


def test_the_sweep_says_how_long_nobody_swept(pool: Pool) -> None:
    pool.sweep()
    swept_ago(pool, 8)

    swept = pool.sweep()

    assert not swept.acted
    assert 8 <= swept.gap_seconds < 9


def test_no_deadline_runs_out_while_nobody_could_have_met_it(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.enqueue("cid")
    pool.hold("cid")
    pool.sweep()
    pause = LOADING_SECONDS * 2
    pool.move_clock(pause)
    swept_ago(pool, pause)
    before = pool.contents()

    assert not pool.sweep(queue_timeout=30).acted
    swept = pool.sweep(queue_timeout=30)

    assert swept.acted
    assert (swept.dead_nodes, swept.grace_ended, swept.loading_timeouts, swept.lost_servers) == ((), 0, 0, ())
    assert pool.contents() | {"clock": 0} == before | {"clock": 0}


def test_a_sweep_behind_a_gap_ends_what_the_last_one_could_have_ended_and_says_so(pool: Pool) -> None:
    pool.enqueue("due", "not-yet")
    pool.hold("due")
    pool.hold("not-yet", grace=20)
    pool.move_clock(GRACE_SECONDS + 18)  # the last sweep was when 13 of them had passed
    swept_ago(pool, 10)

    swept = pool.sweep()

    assert not swept.acted
    assert swept.grace_ended == 1
    assert pool.members("held") == ["not-yet"]


def test_after_the_gap_deadlines_run_on_from_where_they_stood(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    pool.sweep()
    pool.move_clock(20)
    swept_ago(pool, 20)
    pool.sweep()
    pool.move_clock(GRACE_SECONDS - 1)
    pool.renew()
    assert pool.sweep().grace_ended == 0

    pool.move_clock(2)
    pool.renew()

    assert pool.sweep().grace_ended == 1


def test_a_sweep_acts_on_every_kind_of_deadline(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    pool.renew("n2")
    pool.loading("ann", "bob", node="n2")
    pool.enqueue("cid")
    pool.hold("cid")
    pool.move_clock(LOADING_SECONDS + 1)
    pool.renew("n2")

    swept = pool.sweep(node="n2")

    assert swept.acted
    assert swept.dead_nodes == ("n1",)
    assert (swept.grace_ended, swept.loading_timeouts, swept.lost_servers) == (1, 1, (LostServer("s1", 0),))
    assert pool.sweep(node="n2").loading_timeouts == 0
    assert LEASE_SECONDS < LOADING_SECONDS


def test_a_pool_without_an_epoch_begins_one_and_says_since_when_it_is_empty(pool: Pool) -> None:
    begin_anew(pool)
    before = pool.now_us()

    assert pool.run("sweep", PERIOD_US, "run-1", "first")[:3] == [1, 0, b"first"]

    clock = pool.hash("clock")
    assert clock["epoch"] == "first"
    assert int(clock["emptied_us"]) >= before
    assert pool.run("sweep", PERIOD_US, "run-1", "other")[:3] == [1, 0, b"first"], "it lasts"


def test_a_new_run_id_begins_a_new_epoch_of_a_pool_that_is_not_empty(pool: Pool) -> None:
    begin_anew(pool)
    sweep(pool, "run-1", "first")
    emptied_us = pool.hash("clock")["emptied_us"]

    assert pool.run("sweep", PERIOD_US, "run-2", "second")[2] == b"second"

    assert pool.hash("clock")["emptied_us"] == emptied_us
    assert pool.run("sweep", PERIOD_US, "run-2", "third")[:3] == [1, 0, b"second"]
