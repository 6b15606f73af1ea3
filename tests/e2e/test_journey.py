"""From `enqueue` to a session on a dedicated server, as a client, Redis and the dedicated server see it."""

import asyncio
import json
import re
import uuid
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.shared.fake_server import Call, FakeServer, Reply
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, fresh_id, match_all, player_on, players_on, queue_all

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SETTINGS = {
    "game_modes": f"{MODE}:2,Trio:3,Five_v_five:10,Royale:100",
    "loading_timeout_seconds": 30,
    "messages_per_second": 1000,
}


def _listen(node: Node, player_id: str) -> Any:
    ear = node.redis.pubsub(ignore_subscribe_messages=True)
    ear.subscribe(node.key(f"notifications:{player_id}"))
    ear.get_message(timeout=5)  # the confirmation
    return ear


def _heard(ear: Any) -> list[str]:
    texts = []
    while message := ear.get_message(timeout=0.2):
        texts.append(message["data"])
    ear.close()
    return texts


def _players_in(node: Node, loading_session_id: str) -> dict[str, str]:
    fields: Any = node.redis.hgetall(node.key(f"loading:{loading_session_id}"))
    return {name: value for name, value in fields.items() if not name.startswith("#")}


def test_two_players_walk_from_enqueue_to_match_found(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            ear = _listen(node, ann.player_id)

            queued = await ann.queue()
            assert queued["resume_token"]
            assert node.redis.type(node.key(f"queue:{MODE}")) == "set"
            assert node.redis.smembers(node.key(f"queue:{MODE}")) == {ann.player_id}
            assert node.state_of(ann.player_id) == "queued"

            await bob.queue()
            start = await ann.expect("start_loading", game_mode=MODE)
            assert (await bob.expect("start_loading"))["loading_session_id"] == start["loading_session_id"]
            assert sorted(start["players"]) == sorted([ann.player_id, bob.player_id])
            assert 25 < start["timeout_seconds"] <= 30
            loading_id = start["loading_session_id"]
            assert UUID.fullmatch(loading_id)
            assert not node.redis.exists(node.key(f"queue:{MODE}"))
            assert _players_in(node, loading_id) == {ann.player_id: "loading", bob.player_id: "loading"}
            assert node.state_of(ann.player_id) == "loading"

            await ann.loaded(loading_id)
            eventually(lambda: _players_in(node, loading_id)[ann.player_id] == "ready")
            await ann.nothing()
            assert server.calls == [], "asked before the last player was ready"

            await bob.loaded(loading_id)
            found = await ann.expect("match_found", loading_session_id=loading_id, game_mode=MODE)
            assert (await bob.expect("match_found"))["session_id"] == found["session_id"]
            assert found["players"] == start["players"], "in the same order"
            assert found["server_address"] == server.address
            assert not node.keys("loading:*")
            assert not node.keys("queue:*")
            assert node.state_of(bob.player_id) == "matched"
            assert 0 < node.redis.ttl(node.key(f"player:{bob.player_id}")) <= 120
            await ann.nothing()

            assert _heard(ear) == ann.texts, "the exact same JSON"
            assert [frame["type"] for frame in ann.frames] == ["queued", "start_loading", "match_found"]

    asyncio.run(journey())


def test_the_dedicated_server_is_asked_once_with_the_loading_session_as_its_key(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            found, _ = await match_all(players)
            [call] = server.calls
            assert (call.method, call.path) == ("POST", "/session/create")
            assert call.key == found["loading_session_id"]
            assert UUID.fullmatch(call.body["session_id"])
            assert call.body["session_id"] == found["session_id"]
            assert call.body["game_mode"] == MODE
            assert sorted(call.players) == sorted(player.player_id for player in players)
            assert set(call.body) >= {"session_id", "game_mode", "players"}

    asyncio.run(journey())


def test_a_server_may_pick_its_own_session_id_and_answer_200(node: Node) -> None:
    async def pick(call: Call) -> Reply:
        assert call.players
        return Reply(200, {"session_id": "its-own-42", "server_address": "10.1.2.3:7777", "extra": 1})

    async def journey() -> None:
        async with FakeServer(node, answer=pick) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            for found in await match_all(players):
                assert found["session_id"] == "its-own-42"
                assert found["server_address"] == "10.1.2.3:7777"
            assert server.row()["active"] == 1
            server.end("its-own-42")
            assert server.row()["active"] == 0, "the slot is free under the id that the server picked"

    asyncio.run(journey())


def test_a_server_with_batch_gets_its_sessions_in_one_call(node: Node) -> None:
    async def journey() -> None:
        async with (
            FakeServer(node, batch=True, capacity=100) as server,
            players_on(node, *(f"p{n}" for n in range(40))) as players,
        ):
            await queue_all(players)
            starts = await asyncio.gather(*(player.expect("start_loading") for player in players))
            for player, start in zip(players, starts, strict=True):
                await player.loaded(start["loading_session_id"])
            found = await asyncio.gather(*(player.expect("match_found") for player in players))
            assert {call.path for call in server.calls} == {"/sessions/create"}
            items = {item["idempotency_key"]: item for call in server.calls for item in call.body["sessions"]}
            assert sum(len(call.body["sessions"]) for call in server.calls) == len(items) == 20
            assert max(len(call.body["sessions"]) for call in server.calls) <= 64
            for player, frame in zip(players, found, strict=True):
                item = items[frame["loading_session_id"]]
                assert item["game_mode"] == MODE
                assert item["session_id"] == frame["session_id"]
                assert player.player_id in item["players"]
                assert item["players"] == frame["players"], "in one order for all"

    asyncio.run(journey())


def test_a_batch_item_that_is_refused_goes_elsewhere_alone(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, *(f"p{n}" for n in range(8))) as players, AsyncExitStack() as stack:
            server = FakeServer(node, batch=True, capacity=4)
            refused: list[str] = []

            async def refuse_the_first(call: Call) -> Reply:
                if not refused:
                    refused.append(call.body["sessions"][0]["idempotency_key"])
                reply = await server.accept(call)
                assert reply
                sessions = [
                    {"idempotency_key": item["idempotency_key"], "error": "full"}
                    if item["idempotency_key"] in refused
                    else item
                    for item in reversed(reply.body["sessions"])  # answered by key, not by place
                ]
                return Reply(200, {"sessions": sessions})

            server.answer = refuse_the_first
            await stack.enter_async_context(server)
            other = await stack.enter_async_context(FakeServer(node, capacity=4))
            await queue_all(players)
            found = await match_all(players)
            by_loading = {frame["loading_session_id"]: frame for frame in found}
            assert len(by_loading) == 4
            if refused:  # the least loaded choice may spread them in any way
                assert by_loading[refused[0]]["server_address"] == other.address
            for frame in found:
                assert frame["server_address"] in {server.address, other.address}

    asyncio.run(journey())


@pytest.mark.parametrize(("game_mode", "size"), [("Trio", 3), ("Five_v_five", 10), ("Royale", 100)])
def test_a_mode_of_any_size_matches_exactly_that_many(node: Node, game_mode: str, size: int) -> None:
    async def journey() -> None:
        names = [f"p{n}" for n in range(size + 1)]
        async with FakeServer(node) as server, players_on(node, *names) as players:
            await queue_all(players[: size - 1], game_mode)
            await players[0].nothing()
            assert node.queue(game_mode)["waiting"] == size - 1
            await players[size - 1].queue(game_mode)
            inside, late = players[:size], players[size]
            ids = sorted(player.player_id for player in inside)
            told = [frame["players"] for frame in await match_all(inside)]
            assert sorted(told[0]) == ids
            assert told == [told[0]] * size, "in one order for all"
            assert [call.players for call in server.calls] == [told[0]]
            await late.queue(game_mode)
            await late.nothing()

    asyncio.run(journey())


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
def test_both_spellings_of_the_address_work(node: Node, path: str) -> None:
    async def journey() -> None:
        async with player_on(node, path=path) as player:
            await player.queue()
            await player.send("dequeue")
            await player.expect("dequeued", reason="requested")

    asyncio.run(journey())


def test_fields_that_nobody_knows_are_ignored(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            for player in (ann, bob):
                await player.send("enqueue", player_id=player.player_id, game_mode=MODE, skill=[1, {"x": None}], seq=-1)
                await player.expect("queued")
            for player in (ann, bob):
                start = await player.expect("start_loading")
                await player.send("loading_complete", loading_session_id=start["loading_session_id"], percent=100)
            for player in (ann, bob):
                await player.expect("match_found")

    asyncio.run(journey())


def test_a_ping_is_answered_in_json_and_in_frames_at_any_time(node: Node) -> None:
    async def journey() -> None:
        async with player_on(node) as player:
            await player.send("ping")
            await player.expect("pong")
            await asyncio.wait_for(await player.link.ping(), 5)
            await player.queue()
            await player.send("ping", extra=True)
            await player.expect("pong")
            await asyncio.wait_for(await player.link.ping(b"still here"), 5)

    asyncio.run(journey())


@pytest.mark.parametrize("player_id", ["a", "x" * 64, str(uuid.uuid4()), "Al.ice_1@home:8-9", "-", "0"])
def test_every_allowed_form_of_a_player_id_is_taken(node: Node, player_id: str) -> None:
    async def journey() -> None:
        async with player_on(node, player_id) as player:
            await player.queue()
            assert player_id in node.redis.smembers(node.key(f"queue:{MODE}"))
            await player.send("dequeue", player_id=player_id, game_mode=MODE)
            await player.expect("dequeued", reason="requested")
            assert not node.keys("queue:*")

    asyncio.run(journey())


def test_a_client_that_knows_only_the_original_flow_gets_its_match(node: Node) -> None:
    async def simple_client(player_id: str) -> dict[str, Any]:
        async with player_on(node, player_id) as player:
            await player.link.send(json.dumps({"type": "enqueue", "player_id": player_id, "game_mode": MODE}))
            while True:
                frame: dict[str, Any] = json.loads(await player.link.recv())
                if frame["type"] == "start_loading":
                    answer = {"type": "loading_complete", "loading_session_id": frame["loading_session_id"]}
                    await player.link.send(json.dumps(answer))
                elif frame["type"] == "match_found":
                    return frame

    async def journey() -> None:
        async with FakeServer(node) as server, asyncio.timeout(10):
            first, second = await asyncio.gather(simple_client(fresh_id()), simple_client(fresh_id()))
            assert first["session_id"] == second["session_id"]
            assert first["server_address"] == second["server_address"] == server.address

    asyncio.run(journey())


def test_one_connection_can_walk_the_journey_again_and_again(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as players:
            sessions = set()
            for _ in range(3):
                await queue_all(players)
                sessions.add((await match_all(players))[0]["session_id"])
            assert len(sessions) == len(server.calls) == 3

    asyncio.run(journey())
