"""Both forms of a room's frames mean the same to a simulated player, and to the room."""

import json

import msgspec
import pytest
from hypothesis import given

import dedicated_server_stub.rooms.frames as room
from dedicated_server_stub.rooms import messages
from test_client.room_frames import FrameForm, frames_of
from tests.stub.test_protobuf import client_messages, server_messages

BINARY, TEXT = frames_of(FrameForm.PROTOBUF), frames_of(FrameForm.JSON)


@given(server_messages)
def test_a_player_reads_the_same_in_both(message: messages.ServerMessage) -> None:
    read = json.loads(json.dumps(BINARY.read(room.ENCODERS[BINARY.subprotocol](message))))
    for name in ("full", "out_of_sight"):  # JSON leaves them out where they say nothing
        if not read.get(name, True):
            del read[name]
    assert read == TEXT.read(room.ENCODERS[TEXT.subprotocol](message))


@given(client_messages)
def test_the_room_reads_the_same_in_both(message: messages.ClientMessage) -> None:
    said = TEXT.read(msgspec.json.encode(message))
    assert room.decode(BINARY.write(said)) == room.decode(TEXT.write(said)) == message


@pytest.mark.parametrize("frame", ["{}", b"\xff\xff", b""])
def test_a_frame_of_another_form_says_nothing(frame: str | bytes) -> None:
    assert BINARY.read(frame) == {}
