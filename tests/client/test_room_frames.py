"""Both forms of a room's frames mean the same to a simulated player, and to the room."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dedicated_server_stub.rooms.frames as room
from dedicated_server_stub.rooms import messages
from test_client.room_frames import FrameForm, frames_of
from tests.stub.test_protobuf import client_messages, players, server_messages

BINARY, TEXT = frames_of(FrameForm.PROTOBUF), frames_of(FrameForm.JSON)


@given(server_messages)
def test_a_player_reads_the_same_in_both(message: messages.ServerMessage) -> None:
    read = json.loads(json.dumps(BINARY.read(room.ENCODERS[BINARY.subprotocol](message))))
    for name in ("full", "out_of_sight"):  # JSON leaves them out where they say nothing
        if not read.get(name, True):
            del read[name]
    assert read == TEXT.read(room.ENCODERS[TEXT.subprotocol](message))


@given(st.lists(players, max_size=8, unique_by=lambda player: player.player_id))
def test_a_player_knows_who_a_number_is(told: list[messages.PlayerState]) -> None:
    frames = frames_of(FrameForm.PROTOBUF)
    numbers = {player.player_id: number for number, player in enumerate(told)}
    whole = [messages.PlayerState(name, number=number) for name, number in numbers.items()]
    frames.read(room.ENCODERS[frames.subprotocol](messages.State(1, whole)))
    state = messages.State(2, [msgspec.structs.replace(player, number=msgspec.UNSET) for player in told])
    heard = frames.read(room.ENCODERS[frames.subprotocol](state, numbers))["players"]
    expected = TEXT.read(room.ENCODERS[TEXT.subprotocol](state))["players"]
    assert {each["player_id"]: each for each in heard} == {each["player_id"]: each for each in expected}


@given(client_messages)
def test_the_room_reads_the_same_in_both(message: messages.ClientMessage) -> None:
    said = TEXT.read(msgspec.json.encode(message))
    assert room.decode(BINARY.write(said)) == room.decode(TEXT.write(said)) == message


@pytest.mark.parametrize("frame", ["{}", b"\xff\xff", b""])
def test_a_frame_of_another_form_says_nothing(frame: str | bytes) -> None:
    assert BINARY.read(frame) == {}
