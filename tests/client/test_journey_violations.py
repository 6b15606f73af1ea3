"""The journey: each way in which a service can break the protocol."""

from typing import Any

import pytest

from match_server.protocol import Dequeue, LoadingComplete
from tests.client.told import OTHER, Told


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
