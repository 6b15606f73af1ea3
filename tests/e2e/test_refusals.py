"""Every row of the table of `error.code` that needs no outage: provoked, harmless, and leaving no key behind."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.e2e.fake_server import FakeServer, hang
from tests.e2e.node import Node
from tests.e2e.player import MODE, match_all, player_on, players_on, queue_all

SETTINGS = {"messages_per_second": 1000, "allocation_timeout_seconds": 0.5}

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


def test_a_connection_speaks_for_one_player_while_its_journey_runs(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "ann", "eve") as (ann, eve):
            token = (await ann.queue())["resume_token"]
            await eve.queue()
            await eve.send("dequeue")
            await eve.expect("dequeued")
            for message in (
                {"type": "enqueue", "player_id": "somebody-else", "game_mode": MODE},
                {"type": "dequeue", "player_id": "somebody-else"},
                {"type": "dequeue", "player_id": "somebody-else", "game_mode": MODE},
                {"type": "resume", "player_id": "somebody-else", "resume_token": token},
            ):
                await ann.link.send(json.dumps(message))
                await ann.refused("invalid_message")
            assert node.redis.smembers(node.key(f"queue:{MODE}")) == {ann.player_id}
            assert not node.keys("*somebody-else*")

            await eve.send("enqueue", player_id="somebody-new", game_mode=MODE)  # its journey had ended
            await eve.expect("queued")

    asyncio.run(journey())


def test_a_dequeue_for_another_mode_takes_nobody_out(node: Node) -> None:
    async def journey() -> None:
        async with player_on(node) as player:
            await player.queue()
            await player.send("dequeue", game_mode="Another_mode")
            assert (await player.expect("error"))["code"] in {"invalid_message", "invalid_game_mode", "not_in_queue"}
            assert node.state_of(player.player_id) == "queued"

    asyncio.run(journey())


def test_an_unknown_mode_is_refused_and_leaves_no_key(node: Node) -> None:
    async def journey() -> None:
        before = node.keys()
        async with player_on(node) as player:
            for name in ("Normal_1v2", "normal_1v1", MODE + ".", "." * 64, "front"):
                await player.enqueue(name)
                await player.refused("invalid_game_mode")
            assert node.keys() <= before
            await player.queue()

    asyncio.run(journey())


def test_a_second_enqueue_is_refused_in_every_state_but_matched(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node, answer=hang) as server, players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            await ann.enqueue()
            await ann.refused("already_in_queue")
            await bob.queue()
            start = await ann.expect("start_loading")
            await ann.enqueue()
            await ann.refused("already_in_queue")
            await bob.load()
            await ann.loaded(start["loading_session_id"])
            await server.called(1)
            await ann.enqueue()
            await ann.refused("already_in_queue")
            assert node.state_of(ann.player_id) == "allocating"
            server.answer = server.accept  # the same key is asked once more after the timeout
            await ann.expect("match_found")
            await bob.expect("match_found")

    asyncio.run(journey())


def test_a_second_connection_without_the_token_gets_no_frame_of_the_player(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            async with player_on(node, ann.player_id) as thief:
                await thief.enqueue()
                refusal = await thief.refused("already_in_queue")
                assert "resume_token" not in refusal
                await bob.queue()
                await match_all([ann, bob])
                await thief.nothing()
                assert [frame["type"] for frame in thief.frames] == ["error"]
                assert [frame["type"] for frame in ann.frames] == ["queued", "start_loading", "match_found"]

    asyncio.run(journey())


def test_the_end_of_a_refused_second_connection_does_not_take_the_player_out(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            async with player_on(node, ann.player_id) as thief:
                await thief.enqueue()
                await thief.refused("already_in_queue")
                await thief.send("dequeue")
                await thief.refused("not_in_queue")
            await ann.nothing()
            await bob.queue()
            await match_all([ann, bob])

    asyncio.run(journey())


def test_there_is_nothing_to_leave_and_nothing_to_load_without_a_journey(node: Node) -> None:
    async def journey() -> None:
        before = node.keys()
        async with player_on(node) as player:
            await player.send("dequeue")
            await player.refused("not_in_queue")
            await player.send("dequeue", player_id=player.player_id, game_mode=MODE)
            await player.refused("not_in_queue")
            await player.loaded(str(uuid.uuid4()))
            await player.refused("not_in_queue")
            assert node.keys() <= before
            await player.queue()
            await player.send("dequeue")
            await player.expect("dequeued", reason="requested")
            await player.send("dequeue")
            await player.refused("not_in_queue")

    asyncio.run(journey())


def test_leaving_is_too_late_once_the_session_is_placed_or_found(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node, answer=hang) as server, players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.load()
            await bob.load()
            [call] = await server.called(1)
            await ann.send("dequeue")
            refusal = await ann.refused("too_late")
            assert refusal["state"] == "allocating"
            assert refusal["loading_session_id"] == start["loading_session_id"] == call.key
            server.answer = server.accept  # the same key is asked once more after the timeout
            await ann.expect("match_found")
            await ann.send("dequeue")
            refusal = await ann.refused("too_late")
            assert refusal["state"] == "matched"
            assert refusal["loading_session_id"] == start["loading_session_id"]
            await bob.expect("match_found")

    asyncio.run(journey())


def test_loading_complete_counts_for_the_own_session_only_and_once(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.expect("start_loading")
            own = start["loading_session_id"]
            await ann.loaded(str(uuid.uuid4()))
            await ann.refused("wrong_session_id")
            assert node.redis.hget(node.key(f"loading:{own}"), ann.player_id) == "loading"
            for _ in range(3):
                await ann.loaded(own)
            await ann.nothing()  # repeated: silently accepted, and no substitute for the other's
            assert server.calls == []
            await bob.load()
            for player in (ann, bob):
                await player.expect("match_found")
                await player.loaded(own)
                await player.nothing()
            await ann.loaded(str(uuid.uuid4()))
            await ann.refused("wrong_session_id")
            assert len(server.calls) == 1

    asyncio.run(journey())


def test_the_id_of_a_cancelled_session_is_wrong_for_who_was_put_back(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.expect("start_loading")
            await bob.expect("start_loading")
            await bob.send("dequeue")
            await ann.expect("match_cancelled")
            await ann.expect("queued", requeued=True)
            await ann.loaded(start["loading_session_id"])
            await ann.refused("wrong_session_id")
            assert node.state_of(ann.player_id) == "queued"

    asyncio.run(journey())


def test_only_the_players_own_token_of_this_journey_resumes(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "ann", "eve") as (ann, eve):
            old = (await ann.queue())["resume_token"]
            await ann.send("dequeue")
            await ann.expect("dequeued")
            async with player_on(node, ann.player_id) as late:
                await late.resume(old)
                await late.refused("invalid_resume_token")  # the record is gone
            token = (await ann.queue())["resume_token"]
            assert token != old
            eves = (await eve.queue())["resume_token"]
            await eve.send("dequeue")
            await eve.expect("dequeued")
            async with player_on(node, ann.player_id) as thief:
                for wrong in (old, eves, "x", "x" * 500, token[:-1], token + "x", token.swapcase(), "~~~", "ä"):
                    await thief.resume(wrong)
                    await thief.refused("invalid_resume_token")
                await thief.nothing()
            async with player_on(node, "nobody-at-all") as nobody:
                await nobody.resume(token)
                await nobody.refused("invalid_resume_token")
            assert not node.keys("*nobody-at-all*")
            await ann.nothing()
            assert node.state_of(ann.player_id) == "queued"

    asyncio.run(journey())


def test_a_paused_mode_takes_no_enqueue_and_leaves_no_key(node: Node) -> None:
    async def journey() -> None:
        async with player_on(node) as player:
            assert node.http.post(f"/queues/{MODE}/pause").is_success
            try:
                before = node.keys()
                await player.enqueue()
                await player.refused("queue_paused")
                assert node.keys() <= before
                assert node.queue()["paused"] is True
            finally:
                assert node.http.post(f"/queues/{MODE}/resume").is_success
            await player.queue()

    asyncio.run(journey())


def test_who_waits_in_a_paused_mode_keeps_waiting_unmatched(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])  # no server: nothing forms
            node.http.post(f"/queues/{MODE}/pause")
            async with FakeServer(node):
                try:
                    await ann.nothing(for_seconds=0.4)  # four periods of TryMatch
                    assert node.queue()["waiting"] == 2
                finally:
                    node.http.post(f"/queues/{MODE}/resume")
                await match_all([ann, bob])

    asyncio.run(journey())
