"""The binary form: the same as JSON, message by message, and what it refuses."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from websockets.asyncio.client import ClientConnection

from dedicated_server_stub import room_pb2 as pb
from dedicated_server_stub.rooms import messages
from dedicated_server_stub.rooms.frames import ENCODERS, JSON, PROTOBUF, InvalidFrame, decode
from tests.stub.room_schema import GENERATED, PACKAGE, ROOT, generate
from tests.stub.room_stub import Stub, play

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
counts = st.integers(0, 2**31 - 1)
seqs = st.integers(1, 2**31 - 1)
places = st.integers(-2_000_000_000, 2_000_000_000).map(lambda thousandths: thousandths / 1000)
scores = st.dictionaries(ids, counts, max_size=4)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | values


players = st.builds(
    messages.PlayerState,
    ids,
    x=maybe(places),
    y=maybe(places),
    z=maybe(places),
    yaw=maybe(places),
    score=maybe(counts),
    seq=maybe(counts),
    team=maybe(ids),
    number=maybe(counts),
)
said = st.builds(messages.Said, ids, texts, counts)
server_messages = st.one_of(
    st.builds(
        messages.Welcome,
        session_id=ids,
        player_id=ids,
        tick=counts,
        tick_hz=st.floats(1, 120),
        bounds=st.dictionaries(st.sampled_from("xyz"), st.tuples(places, places)),
        speed=st.floats(0, 100),
        players=st.lists(players, max_size=4),
        chat=st.lists(said, max_size=4),
    ),
    st.builds(messages.PlayerJoined, ids, st.booleans()),
    st.builds(messages.PlayerLeft, ids, st.booleans()),
    st.builds(messages.State, counts, st.lists(players, max_size=4), full=st.booleans(), out_of_sight=st.lists(ids)),
    st.builds(messages.Told, ids, texts, counts),
    st.builds(messages.Tagged, counts, by=ids, player_id=ids, scores=scores),
    st.builds(messages.Rejected, seq=counts, reason=texts, x=places, y=places, z=places, yaw=places),
    st.builds(messages.Ended, counts, st.fixed_dictionaries({"scores": scores, "winner": st.none() | ids})),
    st.builds(messages.Notice, counts, texts),
    st.builds(messages.Error, texts, texts, retry_after_seconds=maybe(st.floats(0, 100))),
    st.builds(messages.Pong),
)
client_messages = st.one_of(
    st.builds(messages.Join, texts),
    st.builds(messages.Move, seqs, places, places, places, places),
    st.builds(messages.Tag, seqs, ids),
    st.builds(messages.Chat, texts),
    st.builds(messages.Ack, seqs),
    st.builds(messages.Snapshot),
    st.builds(messages.Leave),
    st.builds(messages.Ping),
)


def read(frame: bytes, names: Sequence[str] = ("ann", "bob")) -> dict[str, Any]:
    """A binary frame as a client reads it, in the words of the JSON form. `names` are the players by number."""
    envelope = pb.ServerMessage.FromString(frame)
    kind = envelope.WhichOneof("message")
    assert kind is not None
    fields = MessageToDict(getattr(envelope, kind), always_print_fields_with_no_presence=True)
    if "bounds" in fields:
        fields["bounds"] = {
            axis: [limits["min"] / 1000, limits["max"] / 1000] for axis, limits in fields["bounds"].items()
        }
    for changes in fields.pop("changes", ()):
        columns = {name: column for name, column in changes.items() if name != "number" and column}
        for index, number in enumerate(changes["number"]):
            told = {name: column[index] for name, column in columns.items()}
            fields["players"].append({"player_id": names[number], **told})
    for place in (fields, *fields.get("players", ())):
        place.update({axis: place[axis] / 1000 for axis in ("x", "y", "z", "yaw") if axis in place})
    for name in ("full", "out_of_sight"):  # JSON leaves them out where they say nothing
        if not fields.get(name, True):
            del fields[name]
    return {"type": kind, **fields}


@given(server_messages)
def test_both_forms_say_the_same(message: messages.ServerMessage) -> None:
    text, binary = ENCODERS[JSON](message), ENCODERS[PROTOBUF](message)
    assert isinstance(binary, bytes)
    assert read(binary) == json.loads(text)


@given(counts, st.lists(players, max_size=8, unique_by=lambda player: player.player_id), st.data())
def test_players_who_are_known_have_a_number(tick: int, told: list[messages.PlayerState], data: st.DataObject) -> None:
    names = [player.player_id for player in told if data.draw(st.booleans())]
    state = messages.State(tick, told)
    binary = ENCODERS[PROTOBUF](state, {name: number for number, name in enumerate(names)})
    assert isinstance(binary, bytes)
    expected, heard = json.loads(ENCODERS[JSON](state)), read(binary, names)
    for message in (expected, heard):
        message["players"].sort(key=lambda player: player["player_id"])
    assert heard == expected


@given(client_messages)
def test_both_forms_are_read_as_the_same(message: messages.ClientMessage) -> None:
    text = msgspec.json.encode(message).decode()
    fields = json.loads(text)
    kind = fields.pop("type")
    for axis in ("x", "y", "z", "yaw"):
        if axis in fields:
            fields[axis] = round(fields[axis] * 1000)
    envelope = pb.ClientMessage()
    sent = getattr(envelope, kind)
    sent.SetInParent()
    for name, value in fields.items():
        setattr(sent, name, value)
    assert decode(envelope.SerializeToString()) == decode(text) == message


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xff",
        pb.ClientMessage(move=pb.Move(seq=0)).SerializeToString(),
        pb.ClientMessage(move=pb.Move(seq=1, x=2_100_000_000)).SerializeToString(),
        pb.ClientMessage(chat=pb.Chat(text="x" * 201)).SerializeToString(),
        pb.ClientMessage(tag=pb.Tag(seq=1)).SerializeToString(),
    ],
)
def test_a_binary_frame_is_held_to_the_same_limits(frame: bytes) -> None:
    with pytest.raises(InvalidFrame):
        decode(frame)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_refused(frame: bytes) -> None:
    with suppress(InvalidFrame):
        decode(frame)


def test_clients_of_both_forms_meet_in_one_room() -> None:
    async def hear(link: ClientConnection, kind: str) -> Any:
        async with asyncio.timeout(10):
            while True:
                frame = await link.recv()
                assert isinstance(frame, bytes)
                if (message := read(frame))["type"] == kind:
                    return message

    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.connect(subprotocols=[PROTOBUF]) as bob:
            join = pb.ClientMessage(join=pb.Join(join_token=stub.pool.token("bob")))
            await bob.send(join.SerializeToString())
            welcome = await hear(bob, "welcome")
            await ann.hear("player_joined")
            place = {axis: welcome["players"][1][axis] + 0.25 for axis in ("x", "y")}
            move = pb.Move(seq=1, z=0, yaw=500, **{axis: round(value * 1000) for axis, value in place.items()})
            await bob.send(pb.ClientMessage(move=move).SerializeToString())
            seen = {"player_id": "bob", "seq": 1, "yaw": 0.5, **place}
            assert await ann.hear_move("bob", 1) == pytest.approx(seen)
            states = [await hear(bob, "state")]
            while states[-1]["players"][-1]["seq"] == 0:  # of the tick in which it has joined
                states.append(await hear(bob, "state"))
            assert states[-1]["players"] == [pytest.approx(seen)]

    play(scenario)


def test_the_generated_code_follows_the_schema(tmp_path: Path) -> None:
    generate(tmp_path)
    for name in GENERATED:
        fresh = (tmp_path / PACKAGE / name).read_text(encoding="utf-8")
        assert (ROOT / PACKAGE / name).read_text(encoding="utf-8") == fresh, "run python -m tests.stub.room_schema"
