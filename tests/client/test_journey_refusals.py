"""The journey: what it does about errors, those that it was to get and those that nothing asked for."""

import pytest

from match_server.protocol import Dequeue, Enqueue, ErrorCode, LoadingComplete, Resume
from test_client.states import Step
from tests.client.told import MODE, ONE, Told


@pytest.mark.parametrize("code", [ErrorCode.SERVER_BUSY, ErrorCode.RATE_LIMITED])
def test_repeats_what_was_refused_for_now(told: Told, code: ErrorCode) -> None:
    assert told.error(code, retry_after_seconds=0.3) is Step.RETRY
    assert told.journey.retry_after_seconds == 0.3
    assert told.journey.again() == Enqueue(player_id="me", game_mode=MODE)
    told.journey.sent(told.journey.again())
    assert told.error(ErrorCode.ALREADY_IN_QUEUE) is Step.RETRY  # the first one had taken effect
    assert told.queued() is Step.QUEUED
    told.comes_back()
    assert told.error(code) is Step.RETRY
    assert isinstance(told.journey.again(), Resume)
    told.resumed("queued")
    told.queued()
    told.start_loading()
    told.loads()
    assert told.error(code) is Step.RETRY
    assert told.journey.again() == LoadingComplete(loading_session_id=ONE)
    assert told.journey.violations == []


@pytest.mark.parametrize(
    "code",
    [ErrorCode.INVALID_GAME_MODE, ErrorCode.QUEUE_PAUSED, ErrorCode.UNAUTHORIZED, ErrorCode.ALREADY_IN_QUEUE],
)
def test_a_refused_enqueue_is_an_end(told: Told, code: ErrorCode) -> None:
    assert told.error(code) is Step.END
    assert told.journey.end == f"refused:{code}"
    assert told.journey.violations == []


def test_wrong_messages_get_the_errors_that_they_ask_for(told: Told) -> None:
    told.queued()
    told.journey.expect(ErrorCode.INVALID_MESSAGE)
    told.journey.expect(ErrorCode.WRONG_SESSION_ID, ErrorCode.NOT_IN_QUEUE)
    assert told.error(ErrorCode.NOT_IN_QUEUE) is Step.WAIT
    assert told.error(ErrorCode.INVALID_MESSAGE) is Step.WAIT
    told.journey.finish()
    assert told.journey.violations == []
    assert not told.journey.errors


def test_a_wrong_message_may_be_one_too_many(told: Told) -> None:
    told.queued()
    told.journey.expect(ErrorCode.INVALID_MESSAGE)
    assert told.error(ErrorCode.RATE_LIMITED, retry_after_seconds=1) is Step.WAIT
    told.journey.finish()
    assert told.journey.violations == []


def test_a_wrong_message_without_an_answer_is_a_violation(told: Told) -> None:
    told.queued()
    told.journey.expect(ErrorCode.INVALID_MESSAGE)
    told.journey.finish()
    assert told.journey.violations == ["no error invalid_message for a wrong message"]


def test_answers_to_wrong_messages_may_go_down_with_the_link(told: Told) -> None:
    told.queued()
    told.journey.expect(ErrorCode.INVALID_MESSAGE)
    told.comes_back()
    told.journey.finish()
    assert told.journey.violations == []


def test_too_late_means_that_it_has_not_left(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.journey.sent(Dequeue())
    assert told.error(ErrorCode.TOO_LATE, state="allocating") is Step.WAIT
    assert not told.journey.leaving
    assert told.found() is Step.PLAY
    assert told.journey.violations == []


@pytest.mark.parametrize("code", [ErrorCode.TOO_LATE, ErrorCode.WRONG_SESSION_ID])
def test_a_late_word_on_the_last_journey_says_nothing_of_the_next(told: Told, code: ErrorCode) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.journey.sent(Dequeue())
    told.found()
    told.journey.sent(Enqueue(player_id="me", game_mode=MODE))
    assert told.error(code) is Step.WAIT
    assert told.queued(token="another") is Step.QUEUED
    assert told.journey.violations == []


@pytest.mark.parametrize("code", [ErrorCode.TOO_LATE, ErrorCode.WRONG_SESSION_ID])
def test_a_first_enqueue_that_is_answered_so_is_refused(told: Told, code: ErrorCode) -> None:
    assert told.error(code) is Step.END


def test_an_internal_error_is_a_violation(told: Told) -> None:
    told.queued()
    assert told.error(ErrorCode.INTERNAL_ERROR, error_id="abc") is Step.WAIT
    assert told.journey.violations == ["internal_error abc: no"]


def test_a_refusal_that_nothing_asked_for_is_a_violation(told: Told) -> None:
    told.queued()
    told.error(ErrorCode.INVALID_MESSAGE)
    assert told.journey.violations == ["error invalid_message while queued: no"]
