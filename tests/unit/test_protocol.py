"""The wire: round trips, and refusals that name the field."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from match_server.errors import ErrorCode, InvalidMessage
from match_server.protocol import (
    CLIENT_MESSAGES,
    GAME_MODE_PATTERN,
    PLAYER_ID_PATTERN,
    SERVER_MESSAGES,
    ClientMessage,
    Dequeue,
    Dequeued,
    Enqueue,
    Error,
    LoadingComplete,
    MatchCancelled,
    MatchFound,
    Ping,
    Pong,
    Queued,
    Resume,
    Resumed,
    ServerMessage,
    StartLoading,
    decode_client,
    decode_server,
    encode,
    error_frame,
)

player_ids = st.from_regex(PLAYER_ID_PATTERN, fullmatch=True)
game_modes = st.from_regex(GAME_MODE_PATTERN, fullmatch=True)
uuids = st.uuids().map(str)
tokens = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=512)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
unknown_names = texts.map(lambda name: f"x_{name}")
seqs = st.integers(0, 2**53)
seconds = st.floats(0, 1e6)
states = st.sampled_from(["queued", "loading", "allocating", "matched"])

FIELDS: set[str] = {name for kind in CLIENT_MESSAGES for name in kind.model_fields}

client_messages: st.SearchStrategy[ClientMessage] = st.one_of(
    st.builds(Enqueue, player_id=player_ids, game_mode=game_modes),
    st.builds(Dequeue, player_id=st.none() | player_ids, game_mode=st.none() | game_modes),
    st.builds(LoadingComplete, loading_session_id=uuids),
    st.builds(Resume, player_id=player_ids, resume_token=tokens),
    st.just(Ping()),
)
server_messages: st.SearchStrategy[ServerMessage] = st.one_of(
    st.builds(Queued, seq=seqs, game_mode=game_modes, resume_token=tokens, requeued=st.booleans()),
    st.builds(
        StartLoading,
        seq=seqs,
        loading_session_id=uuids,
        game_mode=game_modes,
        players=st.lists(player_ids, max_size=4).map(tuple),
        timeout_seconds=seconds,
    ),
    st.builds(
        MatchCancelled,
        seq=seqs,
        loading_session_id=uuids,
        reason=st.sampled_from(["player_left", "loading_timeout", "allocation_failed", "state_lost"]),
        requeued=st.booleans(),
    ),
    st.builds(
        MatchFound,
        seq=seqs,
        session_id=texts,
        server_address=texts,
        game_mode=game_modes,
        players=st.lists(player_ids, max_size=4).map(tuple),
        loading_session_id=uuids,
    ),
    st.builds(
        Dequeued, seq=seqs, reason=st.sampled_from(["requested", "loading_timeout", "queue_timeout", "disconnected"])
    ),
    st.builds(
        Resumed,
        seq=seqs,
        state=states,
        game_mode=game_modes,
        loading_session_id=st.none() | uuids,
        resume_token=tokens,
    ),
    st.just(Pong()),
    st.builds(
        Error,
        code=st.sampled_from(ErrorCode),
        message=texts,
        state=st.none() | states,
        loading_session_id=st.none() | uuids,
        retry_after_seconds=st.none() | seconds,
        error_id=st.none() | texts,
    ),
)


@given(client_messages)
def test_a_clients_message_comes_back_as_it_went(message: ClientMessage) -> None:
    assert decode_client(encode(message)) == message


@given(server_messages)
def test_a_servers_message_comes_back_as_it_went(message: ServerMessage) -> None:
    assert decode_server(encode(message)) == message


@given(st.one_of(client_messages, server_messages))
def test_fields_without_a_value_are_left_out(message: ClientMessage | ServerMessage) -> None:
    frame = json.loads(encode(message))
    assert None not in frame.values()
    assert frame["type"] == message.type


@given(client_messages, st.dictionaries(unknown_names, st.integers(), max_size=3))
def test_fields_that_are_not_known_are_ignored(message: ClientMessage, extra: dict[str, int]) -> None:
    frame = json.loads(encode(message))
    assert decode_client(json.dumps(frame | extra)) == message


def test_the_messages_are_those_of_the_contract() -> None:
    def types(kinds: tuple[type[BaseModel], ...]) -> set[str]:
        return {kind.model_fields["type"].default for kind in kinds}

    assert types(CLIENT_MESSAGES) == {"enqueue", "dequeue", "loading_complete", "resume", "status", "ping"}
    assert types(SERVER_MESSAGES) == {
        "party",
        "queued",
        "start_loading",
        "match_cancelled",
        "match_found",
        "dequeued",
        "resumed",
        "status",
        "pong",
        "error",
    }


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"type": "queued"}, Queued()),
        ({"type": "start_loading", "loading_session_id": "x"}, StartLoading(loading_session_id="x")),
        (
            {"type": "match_found", "session_id": "s", "server_address": "a:1"},
            MatchFound(session_id="s", server_address="a:1"),
        ),
    ],
)
def test_the_frames_of_the_original_flow_are_still_read(frame: dict[str, str], expected: ServerMessage) -> None:
    assert decode_server(json.dumps(frame)) == expected


A_UUID = str(uuid.UUID(int=7))
PLAYER = "player_id: expected 1 to 64 characters of A-Z a-z 0-9 _ . @ : -"
MODE = "game_mode: expected 1 to 64 characters of A-Z a-z 0-9 _ . -"
SESSION = "loading_session_id: expected a UUID in its 36-character form"
NO_OBJECT = "expected a JSON object with type: one of enqueue, dequeue, loading_complete, resume, status, ping"
TYPE = "type: expected one of enqueue, dequeue, loading_complete, resume, status, ping"


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ("", "expected a JSON object"),
        ("{", "expected a JSON object"),
        ("{'type': 'ping'}", "expected a JSON object"),
        ('{"type": "ping"} x', "expected a JSON object"),
        ('{"type":"resume","player_id":"a","resume_token":"\\ud800"}', "expected a JSON object"),
        ("[" * 4000, "expected a JSON object"),
        ("[]", NO_OBJECT),
        ('"ping"', NO_OBJECT),
        ("null", NO_OBJECT),
        ("7", NO_OBJECT),
        ("{}", TYPE),
        ({"type": "fly"}, TYPE),
        ({"type": None}, TYPE),
        ({"type": 7}, TYPE),
        ({"type": ["ping"]}, TYPE),
        ({"type": "PING"}, TYPE),
        ({"type": "enqueue", "game_mode": "m"}, PLAYER.replace("expected", "is missing; expected", 1)),
        ({"type": "enqueue", "player_id": "p"}, MODE.replace("expected", "is missing; expected", 1)),
        ({"type": "enqueue", "player_id": "", "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": "a" * 65, "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": "#state", "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": "a\n", "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": "é", "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": "a}{b", "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": 7, "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": None, "game_mode": "m"}, PLAYER),
        ({"type": "enqueue", "player_id": "p", "game_mode": "a b"}, MODE),
        ({"type": "enqueue", "player_id": "p", "game_mode": "m\n"}, MODE),
        ({"type": "enqueue", "player_id": "p", "game_mode": "m:2"}, MODE),
        ({"type": "dequeue", "player_id": "a b"}, PLAYER),
        ({"type": "dequeue", "game_mode": 7}, MODE),
        ({"type": "loading_complete"}, SESSION.replace("expected", "is missing; expected", 1)),
        ({"type": "loading_complete", "loading_session_id": A_UUID[:-1]}, SESSION),
        ({"type": "loading_complete", "loading_session_id": A_UUID + "\n"}, SESSION),
        ({"type": "loading_complete", "loading_session_id": A_UUID.replace("-", "")}, SESSION),
        ({"type": "loading_complete", "loading_session_id": "{" + A_UUID + "}"}, SESSION),
        (
            {"type": "resume", "player_id": "p"},
            "resume_token: is missing; expected the token of a `queued` or `resumed` message",
        ),
        (
            {"type": "resume", "player_id": "p", "resume_token": "x" * 3073},
            "resume_token: expected the token of a `queued` or `resumed` message",
        ),
    ],
)
def test_a_refusal_names_the_field_and_what_was_expected(frame: Any, told: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode_client(frame if isinstance(frame, str) else json.dumps(frame))
    assert str(caught.value) == told


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
types = st.sampled_from(["enqueue", "dequeue", "loading_complete", "resume", "ping", "error", "queued"])


@settings(max_examples=300)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
    | json_values.map(json.dumps)
    | st.builds(
        lambda kind, fields: json.dumps(fields | {"type": kind}),
        types,
        st.dictionaries(st.sampled_from(sorted(FIELDS)), json_values, max_size=4),
    )
)
def test_whatever_comes_is_a_message_or_a_refusal_in_one_line_without_what_was_sent(text: str) -> None:
    for decode in (decode_client, decode_server):
        try:
            decode(text)
        except InvalidMessage as error:
            told = str(error)
            assert "\n" not in told
            assert len(told) < 200


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "queued", "seq": "7"},
        {"type": "dequeued", "reason": "boredom"},
        {"type": "match_cancelled", "loading_session_id": "x", "reason": "player_left"},
        {"type": "error", "code": "unheard_of", "message": ""},
        {"type": "enqueue", "player_id": "p", "game_mode": "m"},
    ],
)
def test_a_frame_that_is_none_of_the_services_is_refused_by_a_client(frame: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage):
        decode_server(json.dumps(frame))


def test_an_error_frame_carries_its_details_and_nothing_else() -> None:
    frame = json.loads(error_frame(ErrorCode.SERVER_BUSY, "later", retry_after_seconds=1.5))
    assert frame == {"type": "error", "code": "server_busy", "message": "later", "retry_after_seconds": 1.5}


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Ping().type = "ping"  # type: ignore[misc]  # that is the test
