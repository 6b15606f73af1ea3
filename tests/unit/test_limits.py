"""Limits, with the clock in the test's hands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from match_server.web.limits import ConnectionLimit, Place, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_may_be_twice_the_rate_and_then_the_wait_is_told() -> None:
    clock = Clock()
    bucket = TokenBucket(20, clock)
    assert [bucket.take() for _ in range(40)] == [0.0] * 40
    assert bucket.take() == pytest.approx(1 / 20)


def test_after_the_wait_that_was_told_there_is_one_to_take() -> None:
    clock = Clock()
    bucket = TokenBucket(20, clock)
    while not (wait := bucket.take()):
        pass
    clock.now += wait / 2
    assert bucket.take() == pytest.approx(wait / 2)
    clock.now += wait / 2 + 1e-9
    assert bucket.take() == 0
    assert bucket.take() > 0


def test_a_long_silence_earns_no_more_than_one_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(5, clock)
    clock.now += 86_400
    assert sum(bucket.take() == 0 for _ in range(100)) == 10


def test_a_rate_below_one_still_lets_one_message_through() -> None:
    clock = Clock()
    bucket = TokenBucket(0.1, clock)
    assert bucket.take() == 0
    assert bucket.take() == pytest.approx(10)
    clock.now += 10.001
    assert bucket.take() == 0


@given(rate=st.floats(0.1, 1000), pauses=st.lists(st.floats(0, 5), max_size=50))
def test_never_more_than_the_burst_and_the_rate(rate: float, pauses: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(rate, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        for _ in range(3):
            taken += bucket.take() == 0
    assert taken <= max(1, 2 * rate) + rate * sum(pauses) + 1e-6


# --- connections ---


def limit_of(clock: Clock, *, total: int, per_address: int) -> ConnectionLimit:
    return ConnectionLimit(total=total, per_address=per_address, claim_seconds=30, clock=clock)


def accepted(limit: ConnectionLimit, address: str, gave_way: list[str], name: str) -> Place:
    place = limit.enter(address)
    assert place, name
    place.accepted(lambda: gave_way.append(name))
    return place


def test_a_connection_beyond_the_total_is_refused_until_one_ends() -> None:
    limit = limit_of(Clock(), total=2, per_address=0)
    first = limit.enter("a")
    assert first
    assert limit.enter("a")
    assert not limit.enter("b")
    assert limit.count == 2
    first.leave()
    first.leave()
    assert limit.count == 1
    assert limit.enter("b")


def test_a_connection_beyond_the_limit_of_its_address_is_refused_and_others_are_not() -> None:
    limit = limit_of(Clock(), total=10, per_address=2)
    first, second, third = [limit.enter("a") for _ in range(3)]
    assert first
    assert second
    assert third is None
    assert limit.enter("b")
    first.leave()
    assert limit.enter("a")
    assert limit.count == 3


def test_where_the_node_is_full_the_oldest_that_has_claimed_nobody_gives_way() -> None:
    clock, gave_way = Clock(), list[str]()
    limit = limit_of(clock, total=3, per_address=0)
    accepted(limit, "a", gave_way, "claimed").claimed()
    clock.now += 1
    accepted(limit, "b", gave_way, "old")
    clock.now += 20
    accepted(limit, "c", gave_way, "young")

    assert limit.enter("d") is None, "nobody has been there for 30 s"
    clock.now += 10.5
    assert limit.enter("d")
    assert gave_way == ["old"]
    assert limit.count == 3
    assert limit.enter("e") is None


def test_at_the_limit_of_an_address_one_of_that_address_gives_way() -> None:
    clock, gave_way = Clock(), list[str]()
    limit = limit_of(clock, total=10, per_address=1)
    accepted(limit, "a", gave_way, "other")
    clock.now += 1
    there = accepted(limit, "b", gave_way, "same")
    clock.now += 31

    assert limit.enter("b")
    assert gave_way == ["same"]
    there.leave()
    assert limit.count == 2, "it was counted out when it gave way"


def test_a_handshake_under_way_does_not_give_way() -> None:
    clock = Clock()
    limit = limit_of(clock, total=1, per_address=0)
    assert limit.enter("a")
    clock.now += 60
    assert limit.enter("b") is None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60))
def test_connections_are_counted_and_nothing_is_left_when_all_have_gone(moves: list[tuple[bool, str]]) -> None:
    limit = limit_of(Clock(), total=10, per_address=4)
    there: list[Place] = []
    for come, address in moves:
        of_address = [place for place in there if place.address == address]
        if come:
            place = limit.enter(address)
            assert (place is not None) == (len(there) < 10 and len(of_address) < 4)
            if place:
                there.append(place)
        elif of_address:
            of_address[0].leave()
            there.remove(of_address[0])
        assert limit.count == len(there)
    for place in there:
        place.leave()
    assert limit.count == 0
