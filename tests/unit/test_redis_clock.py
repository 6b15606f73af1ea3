"""Redis' time, as a node knows it: it may be late, but never early."""

import time

import pytest

from match_server.redis_clock import RedisClock

SECOND_US = 1_000_000
START_US = 1_700_000_000 * SECOND_US


class Passing:
    """The process' own clock, moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.us = 5 * SECOND_US
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.us * 1000)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Passing:
    return Passing(monkeypatch)


def test_before_redis_has_told_the_time_it_is_before_everything(own: Passing) -> None:
    clock = RedisClock()
    assert not clock.known
    own.us += SECOND_US
    assert clock.now_us() == 0


def test_between_two_answers_it_goes_on_by_the_process_own_clock(own: Passing) -> None:
    clock = RedisClock()
    clock.set(START_US)
    assert clock.known
    own.us += 3 * SECOND_US
    assert clock.now_us() == START_US + 3 * SECOND_US


def test_an_answer_that_was_read_late_does_not_make_it_late(own: Passing) -> None:
    """The node was busy for 0.3 s with the answer in hand."""
    clock = RedisClock()
    clock.set(START_US)
    own.us += SECOND_US
    clock.set(START_US + 700_000)
    assert START_US + 990_000 <= clock.now_us() <= START_US + SECOND_US
    own.us += SECOND_US
    clock.set(START_US + 2 * SECOND_US)
    assert clock.now_us() == START_US + 2 * SECOND_US


def test_what_redis_has_done_is_over_however_late_the_clock_is(own: Passing) -> None:
    clock = RedisClock()
    clock.set(START_US)
    clock.at_least(START_US - 1)
    assert clock.now_us() == START_US
    clock.at_least(START_US + 5_000)
    assert clock.now_us() == START_US + 5_000
    own.us += SECOND_US
    clock.set(START_US + SECOND_US)
    assert START_US + 4_000 <= clock.now_us() - SECOND_US < START_US + 5_000, "a late answer, as the one before"


def test_a_number_from_before_redis_clock_went_back_says_nothing(own: Passing) -> None:
    clock = RedisClock()
    clock.at_least(START_US)
    assert not clock.known
    clock.set(START_US)
    clock.at_least(START_US + 60 * SECOND_US)
    assert clock.now_us() == START_US


def test_a_process_clock_that_runs_fast_is_followed(own: Passing) -> None:
    clock = RedisClock()
    for sweep in range(100):
        clock.set(START_US + sweep * 500_000)
        assert clock.now_us() == START_US + sweep * 500_000
        own.us += 500_050


@pytest.mark.parametrize("off_us", [-60 * SECOND_US, 60 * SECOND_US], ids=["behind", "ahead"])
def test_a_redis_that_moved_to_a_host_whose_clock_is_far_off_is_believed_at_once(own: Passing, off_us: int) -> None:
    clock = RedisClock()
    clock.set(START_US)
    own.us += SECOND_US
    clock.set(START_US + off_us)
    assert clock.now_us() == START_US + off_us


def test_a_redis_whose_clock_went_back_a_little_is_believed_after_some_answers(own: Passing) -> None:
    clock = RedisClock()
    clock.set(START_US)
    for sweep in range(1, 25):
        own.us += SECOND_US // 2
        clock.set(START_US + sweep * SECOND_US // 2 - 800_000)
    assert clock.now_us() == START_US + 24 * SECOND_US // 2 - 800_000


def test_after_a_long_silence_clocks_may_have_drifted(own: Passing) -> None:
    clock = RedisClock()
    clock.set(START_US)
    own.us += 600 * SECOND_US + 30_000  # 50 ppm fast
    clock.set(START_US + 600 * SECOND_US)
    assert clock.now_us() == START_US + 600 * SECOND_US


def test_a_message_that_may_have_lain_there_while_the_process_stood_still_is_as_old_as_that(own: Passing) -> None:
    clock = RedisClock()
    clock.set(START_US)
    clock.turned()
    own.us += 100_000
    assert clock.received_us() == START_US + 100_000, "it turns"

    own.us += 2 * SECOND_US
    assert clock.received_us() == START_US, "read before the loop's own timer"
    clock.turned()
    assert clock.received_us() == START_US, "read behind it"
    own.us += 100_000
    clock.turned()
    assert clock.received_us() == clock.now_us()


def test_without_a_watch_a_message_is_as_old_as_it_is_read(own: Passing) -> None:
    clock = RedisClock()
    clock.set(START_US)
    own.us += 60 * SECOND_US
    assert clock.received_us() == START_US + 60 * SECOND_US
