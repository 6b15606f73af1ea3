"""The journey: what it advises on a good day, and when its link breaks."""

import pytest

from match_server.protocol import (
    Dequeue,
    DequeueReason,
    Enqueue,
    ErrorCode,
    JourneyState,
    LoadingComplete,
    MatchFound,
    Pong,
    Queued,
    Resume,
    StartLoading,
)
from test_client.journey import Journey
from test_client.states import State, Step
from tests.client.told import MODE, ONE, OTHER, Told


def test_goes_from_enqueue_to_the_match(told: Told) -> None:
    assert told.journey.opening() == Enqueue(player_id="me", game_mode=MODE)
    told.now = 1
    assert told.queued() is Step.QUEUED
    told.now = 2
    assert told.start_loading() is Step.LOAD
    assert told.journey.loading_complete() == LoadingComplete(loading_session_id=ONE)
    told.loads()
    told.now = 3
    assert told.found() is Step.PLAY
    assert told.journey.state is State.MATCHED
    assert told.journey.match is not None
    assert told.journey.match.session_id == "s"
    times = told.journey.times
    assert (times.enqueued, times.queued, times.start_loading, times.match_found) == (0, 1, 2, 3)
    told.journey.finish()
    assert told.journey.violations == []


def test_a_cancelled_match_leads_back_to_the_queue_and_keeps_the_first_times(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.now = 5
    assert told.cancelled() is Step.STOP_LOADING
    assert told.queued(requeued=True) is Step.QUEUED
    assert told.start_loading(OTHER) is Step.LOAD
    told.loads()
    assert told.found(loading=OTHER) is Step.PLAY
    assert told.journey.times.start_loading == 0
    assert told.journey.violations == []


def test_a_cancelled_match_without_requeue_is_an_end(told: Told) -> None:
    told.queued()
    told.start_loading()
    assert told.cancelled(requeued=False) is Step.END
    assert told.journey.end == "cancelled:player_left"


@pytest.mark.parametrize("reason", ["requested", "loading_timeout", "queue_timeout", "disconnected"])
def test_dequeued_is_an_end(told: Told, reason: DequeueReason) -> None:
    told.queued()
    if reason == "requested":
        told.journey.sent(Dequeue())
    assert told.dequeued(reason) is Step.END
    assert told.journey.end == f"dequeued:{reason}"
    assert told.journey.violations == []


def test_an_enqueue_after_the_match_is_a_new_journey(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.found()
    told.journey.sent(Enqueue(player_id="me", game_mode=MODE))
    assert told.queued(token="another") is Step.QUEUED
    assert told.start_loading(OTHER) is Step.LOAD
    assert told.journey.violations == []


def test_pong_means_nothing(told: Told) -> None:
    assert told.journey.receive(Pong()) is Step.WAIT


def test_the_original_flow_has_no_numbers_tokens_or_players() -> None:
    journey = Journey("me", MODE)
    journey.sent(journey.opening())
    journey.receive(Queued())
    journey.receive(StartLoading(loading_session_id=ONE))
    journey.sent(journey.loading_complete())
    assert journey.receive(MatchFound(session_id="s", server_address="udp://a:1")) is Step.PLAY
    assert journey.violations == []
    journey.link_lost()
    assert isinstance(journey.opening(), Enqueue)  # without a token there is nothing to resume with


# --- coming back ---


def test_comes_back_with_its_token(told: Told) -> None:
    told.queued()
    told.journey.link_lost()
    assert told.journey.opening() == Resume(player_id="me", resume_token="token")
    told.journey.sent(told.journey.opening())
    settled = [told.journey.settled]
    assert told.resumed("queued") is Step.WAIT
    settled.append(told.journey.settled)
    assert told.queued() is Step.QUEUED
    settled.append(told.journey.settled)
    assert settled == [False, False, True]
    assert told.journey.violations == []
    assert told.journey.links_lost == 1


@pytest.mark.parametrize("state", ["loading", "allocating"])
def test_comes_back_to_the_session_that_it_had_loaded(told: Told, state: JourneyState) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.comes_back()
    told.resumed(state)
    assert told.start_loading() is Step.LOAD
    assert told.journey.loaded
    assert told.found() is Step.PLAY
    assert told.journey.violations == []


@pytest.mark.parametrize("session", [ONE, OTHER])
def test_comes_back_to_a_match_that_was_cancelled_while_it_was_away(told: Told, session: str) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.comes_back()
    told.resumed("loading" if session == OTHER else "queued")
    if session == OTHER:
        assert told.start_loading(OTHER) is Step.LOAD
        assert not told.journey.loaded
    else:
        told.cancelled()
        assert told.queued(requeued=True) is Step.QUEUED
    assert told.journey.violations == []


def test_comes_back_to_the_match_itself_any_number_of_times(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    for _ in range(3):
        told.comes_back()
        told.resumed("matched")
        assert told.found() is Step.PLAY
    assert told.journey.violations == []


def test_what_a_resume_repeats_may_bear_the_number_that_it_had(told: Told) -> None:
    told.queued()
    told.comes_back()
    told.seq -= 1
    told.resumed("queued")
    told.seq -= 1
    told.queued()
    assert told.journey.violations == []


def test_enqueues_anew_when_its_place_is_gone(told: Told) -> None:
    told.queued()
    told.comes_back()
    assert told.error(ErrorCode.INVALID_RESUME_TOKEN) is Step.RETRY
    assert told.journey.retry_after_seconds == 0
    assert told.journey.again() == Enqueue(player_id="me", game_mode=MODE)
    assert told.journey.places_lost == 1
    told.journey.sent(told.journey.again())
    assert told.queued(token="another") is Step.QUEUED
    assert told.journey.violations == []


def test_does_not_enqueue_anew_once_it_has_its_match(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.found()
    told.comes_back()
    assert told.error(ErrorCode.INVALID_RESUME_TOKEN) is Step.PLAY
    assert told.journey.places_lost == 0


def test_a_place_that_is_gone_answers_a_dequeue_whose_answer_was_lost(told: Told) -> None:
    told.queued()
    told.journey.sent(Dequeue())
    told.comes_back()
    assert told.error(ErrorCode.INVALID_RESUME_TOKEN) is Step.END
    assert told.journey.end == "dequeued:requested"
