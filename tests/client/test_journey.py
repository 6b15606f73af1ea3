"""The journey: what it advises on a good day, and each way in which a service can break the protocol."""

from typing import Any

import pytest

from match_server.protocol import (
    Dequeue,
    Dequeued,
    DequeueReason,
    Enqueue,
    Error,
    ErrorCode,
    JourneyState,
    LoadingComplete,
    MatchCancelled,
    MatchFound,
    Pong,
    Queued,
    Resume,
    Resumed,
    StartLoading,
)
from test_client.journey import Journey, State, Step

MODE, TOKEN = "Normal_1v1", "token"
ONE, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


class Told:
    """A journey, and the service's side of it: numbers the frames."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seq = 0
        self.journey = Journey("me", MODE, clock=lambda: self.now)
        self.journey.sent(self.journey.opening())

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def queued(self, *, requeued: bool = False, token: str = TOKEN) -> Step:
        return self.journey.receive(Queued(game_mode=MODE, resume_token=token, requeued=requeued, seq=self._next()))

    def start_loading(self, session: str = ONE, players: tuple[str, ...] = ("me", "you")) -> Step:
        return self.journey.receive(
            StartLoading(loading_session_id=session, players=players, timeout_seconds=5, seq=self._next())
        )

    def cancelled(self, session: str = ONE, *, requeued: bool = True) -> Step:
        return self.journey.receive(
            MatchCancelled(loading_session_id=session, reason="player_left", requeued=requeued, seq=self._next())
        )

    def found(self, session_id: str = "s", loading: str = ONE, **details: Any) -> Step:
        fields = {"server_address": "udp://a:1", "players": ("me", "you"), **details}
        return self.journey.receive(
            MatchFound(session_id=session_id, loading_session_id=loading, seq=self._next(), **fields)
        )

    def dequeued(self, reason: DequeueReason = "requested") -> Step:
        return self.journey.receive(Dequeued(reason=reason, seq=self._next()))

    def resumed(self, state: JourneyState, *, token: str = TOKEN) -> Step:
        return self.journey.receive(Resumed(state=state, game_mode=MODE, resume_token=token, seq=self._next()))

    def error(self, code: ErrorCode, **details: Any) -> Step:
        return self.journey.receive(Error(code=code, message="no", **details))

    def loads(self) -> None:
        self.journey.sent(self.journey.loading_complete())

    def comes_back(self) -> None:
        self.journey.link_lost()
        self.journey.sent(self.journey.opening())


@pytest.fixture
def told() -> Told:
    return Told()


# --- the way that it should go ---


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


# --- refusals ---


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


def test_an_internal_error_is_a_violation(told: Told) -> None:
    told.queued()
    assert told.error(ErrorCode.INTERNAL_ERROR, error_id="abc") is Step.WAIT
    assert told.journey.violations == ["internal_error abc: no"]


def test_a_refusal_that_nothing_asked_for_is_a_violation(told: Told) -> None:
    told.queued()
    told.error(ErrorCode.INVALID_MESSAGE)
    assert told.journey.violations == ["error invalid_message while queued: no"]


# --- violations ---


def _one_violation(told: Told, text: str) -> None:
    assert [line for line in told.journey.violations if text in line], told.journey.violations
    assert len(told.journey.violations) == 1


def test_seq_must_grow(told: Told) -> None:
    told.queued()
    told.seq -= 1
    told.start_loading()
    _one_violation(told, "seq 1 after 1")


def test_seq_must_not_fall_across_a_reconnect(told: Told) -> None:
    told.seq = 10
    told.queued()
    told.comes_back()
    told.seq = 2
    told.resumed("queued")
    told.seq = 11
    told.queued()
    _one_violation(told, "resumed has seq 3 after 11")


def test_queued_comes_before_start_loading(told: Told) -> None:
    told.start_loading()
    _one_violation(told, "start_loading of another session while idle")


def test_one_session_at_a_time(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.start_loading(OTHER)
    _one_violation(told, "another session while loading")


def test_a_session_starts_once_on_one_connection(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.start_loading()
    _one_violation(told, "the same session while loading")


def test_queued_ends_a_session_only_after_match_cancelled(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.queued(requeued=True)
    _one_violation(told, "queued while loading")


def test_back_in_the_queue_says_so(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.cancelled()
    told.queued()
    _one_violation(told, "does not say requeued")


def test_only_its_own_session_is_cancelled(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.cancelled(OTHER)
    _one_violation(told, "not its own")


@pytest.mark.parametrize(
    ("players", "text"), [(("you", "they"), "does not list"), (("me", "me"), "lists a player twice")]
)
def test_the_players_are_distinct_and_it_is_one(told: Told, players: tuple[str, ...], text: str) -> None:
    told.queued()
    told.start_loading(players=players)
    _one_violation(told, text)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"loading": OTHER}, "another loading session"),
        ({"players": ("me", "they")}, "other players"),
        ({"players": ("me", "you", "you")}, "lists a player twice"),
    ],
)
def test_the_match_is_the_one_that_it_loaded(told: Told, found: dict[str, Any], text: str) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.found(**found)
    _one_violation(told, text)


def test_no_match_without_loading(told: Told) -> None:
    told.queued()
    told.found()
    _one_violation(told, "match_found while queued")


def test_no_match_before_it_has_loaded(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.journey.sent(LoadingComplete(loading_session_id=OTHER))
    told.found()
    _one_violation(told, "before its loading_complete")


@pytest.mark.parametrize(
    ("second", "text"),
    [
        ({"session_id": "s"}, "twice on one connection"),
        ({"session_id": "t"}, "two matches for one enqueue: s and t"),
        ({"session_id": "s", "server_address": "udp://b:2"}, "another server_address"),
    ],
)
def test_one_match_for_one_enqueue(told: Told, second: dict[str, Any], text: str) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.found()
    told.found(**second)
    _one_violation(told, text)


def test_no_match_after_dequeued(told: Told) -> None:
    told.queued()
    told.journey.sent(Dequeue())
    told.dequeued()
    told.start_loading()
    assert told.journey.violations[0] == "start_loading after dequeued:requested"


def test_nobody_is_dequeued_on_request_who_did_not_ask(told: Told) -> None:
    told.queued()
    told.dequeued()
    _one_violation(told, "without a dequeue")


def test_nobody_is_dequeued_after_the_match(told: Told) -> None:
    told.queued()
    told.start_loading()
    told.loads()
    told.found()
    told.dequeued("loading_timeout")
    _one_violation(told, "dequeued while matched")


def test_resumed_is_the_first_answer_to_resume(told: Told) -> None:
    told.queued()
    told.comes_back()
    told.start_loading()
    assert told.journey.violations[0] == "start_loading before resumed"


def test_resumed_needs_a_resume(told: Told) -> None:
    told.queued()
    told.resumed("queued")
    told.queued()
    _one_violation(told, "resumed without a resume")


def test_after_resumed_comes_the_frame_of_that_state(told: Told) -> None:
    told.queued()
    told.comes_back()
    told.resumed("queued")
    told.start_loading()
    _one_violation(told, "promised Queued")


def test_the_token_stays_the_same_for_a_journey(told: Told) -> None:
    told.queued()
    told.comes_back()
    told.resumed("queued", token="another")
    told.queued(token="another")
    _one_violation(told, "token changed")


def test_a_frame_must_be_of_the_protocol(told: Told) -> None:
    told.journey.receive_undecodable("expected a JSON object")
    _one_violation(told, "not of the protocol")


def test_nothing_to_load_cannot_be_confirmed(told: Told) -> None:
    with pytest.raises(RuntimeError, match="nothing to load"):
        told.journey.loading_complete()
