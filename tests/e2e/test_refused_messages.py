"""What is no message of the protocol: refused, harmless, and leaving no key behind."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node
from tests.shared.player import MODE, player_on, players_on

SETTINGS = {"messages_per_second": 1000}

ENQUEUE = {"type": "enqueue", "player_id": "p", "game_mode": MODE}
RESUME = {"type": "resume", "player_id": "p", "resume_token": "t"}
LOADED = {"type": "loading_complete", "loading_session_id": str(uuid.uuid4())}


def _without(message: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != name}


NO_MESSAGE = [
    "",
    " ",
    "x",
    "{",
    "null",
    "1",
    "[]",
    '"enqueue"',
    "{}",
    '[{"type":"ping"}]',
    '{"type":"ping"',
    '{"type":"ping"}{"type":"ping"}',
    '{"type":"ping",}',
    "{'type':'ping'}",
    '{"type":NaN}',
    '{"type":"ping","x":NaN}',
    '{"type":"ping","x":-Infinity}',
    '\ufeff{"type":"ping"}',
    "\x00",
    "[" * 4000,
    '{"a":' * 800,
    '{"type":' + "9" * 4000 + "}",
]
NO_TYPE: list[dict[str, Any]] = [
    {"type": None},
    {"type": 1},
    {"type": ["ping"]},
    {"type": {}},
    {"type": ""},
    {"type": "PING"},
    {"type": "ping "},
    {"type": "queued"},
    {"type": "match_found", "session_id": "s", "server_address": "a"},
    {"Type": "ping"},
]
WRONG_ID: list[Any] = [
    "",
    "x" * 65,
    "a b",
    "a\n",
    "\n",
    "a\x00",
    "ä",
    "a/b",
    "#state",
    "{x}",
    "a*",
    "\ud800",
    7,
    None,
    True,
    ["p"],
    {},
]
WRONG_MODE: list[Any] = ["", "x" * 65, "a b", f"{MODE}\n", "a:b", "a@b", "ä", "*", 1, None, [MODE], {}]
WRONG_UUID: list[Any] = [
    "",
    "x",
    "1" * 36,
    uuid.uuid4().hex,
    f"{uuid.uuid4()}\n",
    f"{{{uuid.uuid4()}}}",
    1,
    None,
    [],
    "x" * 3000,
]
WRONG_TOKEN: list[Any] = [1, None, [], {}, True]
WRONG_DEQUEUE: list[Any] = ["", "x" * 65, "a b", 7, []]
WRONG_FIELD: list[dict[str, Any]] = [
    _without(ENQUEUE, "player_id"),
    _without(ENQUEUE, "game_mode"),
    *({**ENQUEUE, "player_id": value} for value in WRONG_ID),
    *({**ENQUEUE, "game_mode": value} for value in WRONG_MODE),
    _without(LOADED, "loading_session_id"),
    *({**LOADED, "loading_session_id": value} for value in WRONG_UUID),
    _without(RESUME, "player_id"),
    _without(RESUME, "resume_token"),
    *({**RESUME, "player_id": value} for value in WRONG_ID),
    *({**RESUME, "resume_token": value} for value in WRONG_TOKEN),
    *({"type": "dequeue", "player_id": value} for value in WRONG_DEQUEUE),
    *({"type": "dequeue", "game_mode": value} for value in WRONG_DEQUEUE),
]


@pytest.mark.parametrize(
    "texts",
    [NO_MESSAGE, [json.dumps(message) for message in NO_TYPE], [json.dumps(message) for message in WRONG_FIELD]],
    ids=["no-message", "no-type", "wrong-field"],
)
def test_what_is_no_message_is_refused_and_leaves_no_key(node: Node, texts: list[str]) -> None:
    async def rubbish() -> None:
        before = node.keys()
        async with player_on(node) as player:
            for text in texts:
                await player.link.send(text)
                frame = await player.next()
                assert (frame["type"], frame.get("code")) == ("error", "invalid_message"), f"{text!r} -> {frame}"
            assert node.keys() <= before
            await player.queue()  # the connection is as good as ever
            await player.send("dequeue")
            await player.expect("dequeued")

    asyncio.run(rubbish())


def test_a_refusal_names_the_field(node: Node) -> None:
    async def rubbish() -> None:
        async with player_on(node) as player:
            for message, field in (
                ({**ENQUEUE, "player_id": "a b"}, "player_id"),
                (_without(ENQUEUE, "game_mode"), "game_mode"),
                ({**LOADED, "loading_session_id": "x"}, "loading_session_id"),
                (_without(RESUME, "resume_token"), "resume_token"),
            ):
                await player.link.send(json.dumps(message))
                assert field in (await player.refused("invalid_message"))["message"]

    asyncio.run(rubbish())


def test_a_binary_frame_is_refused_even_with_good_json_in_it(node: Node) -> None:
    async def rubbish() -> None:
        before = node.keys()
        async with player_on(node) as player:
            for data in (json.dumps(ENQUEUE).encode(), b"", b"\xff\xfe", bytes(4096)):
                await player.link.send(data)
                await player.refused("invalid_message")
            await player.nothing()
            assert node.keys() <= before

    asyncio.run(rubbish())


def test_rubbish_in_the_middle_of_a_journey_changes_nothing(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            await ann.link.send("x")
            await ann.refused("invalid_message")
            await bob.queue()
            start = await ann.expect("start_loading")
            await ann.link.send(b"x")
            await ann.refused("invalid_message")
            await bob.load()
            await ann.loaded(start["loading_session_id"])
            await ann.expect("match_found")
            await bob.expect("match_found")

    asyncio.run(journey())
