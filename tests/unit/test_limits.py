"""Limits, with the clock in the test's hands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from match_server.web.limits import ConnectionLimit, TokenBucket


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


def test_a_connection_beyond_the_total_is_refused_until_one_ends() -> None:
    limit = ConnectionLimit(total=2, per_address=0)
    assert limit.enter("a")
    assert limit.enter("a")
    assert not limit.enter("b")
    assert limit.count == 2
    limit.leave("a")
    assert limit.enter("b")


def test_a_connection_beyond_the_limit_of_its_address_is_refused_and_others_are_not() -> None:
    limit = ConnectionLimit(total=10, per_address=2)
    assert [limit.enter("a") for _ in range(3)] == [True, True, False]
    assert limit.enter("b")
    limit.leave("a")
    assert limit.enter("a")
    assert limit.count == 3


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60))
def test_connections_are_counted_and_nothing_is_left_when_all_have_gone(moves: list[tuple[bool, str]]) -> None:
    limit = ConnectionLimit(total=10, per_address=4)
    there: list[str] = []
    for come, address in moves:
        if come:
            allowed = len(there) < 10 and there.count(address) < 4
            assert limit.enter(address) is allowed
            if allowed:
                there.append(address)
        elif address in there:
            limit.leave(address)
            there.remove(address)
        assert limit.count == len(there)
    for address in there:
        limit.leave(address)
    assert limit.count == 0
    assert not limit._by_address  # no memory of who was here
