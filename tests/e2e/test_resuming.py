"""A lost link, and the way back: on the same node or another, in every state, within the grace or after it."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer, after
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, Frame, Player, match_all, player_on, players_on, queue_all
from tests.shared.prefix import fresh_prefix


@pytest.fixture(scope="module")
def nodes(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """Two nodes of one pool."""
    folder, prefix = tmp_path_factory.mktemp("nodes"), fresh_prefix()
    with Node(folder, redis_url, prefix) as here, Node(folder, redis_url, prefix) as there:
        yield {"here": here, "there": there}


async def _resumed(player: Player, token: str, state: str, then: str) -> Frame:
    """Resume, and read `resumed` with this state, then the frame of that state, which is returned."""
    await player.resume(token)
    resumed = await player.expect("resumed", state=state, game_mode=MODE, resume_token=token)
    frame = await player.expect(then)
    if state != "queued":
        assert resumed["loading_session_id"] == frame["loading_session_id"]
    return frame


def _held(node: Node, player_id: str) -> bool:
    """Whether the loss of the link has been seen: the player is in its queue no longer."""
    return not (
        node.redis.sismember(node.key(f"queue:{MODE}"), player_id)
        or node.redis.zscore(node.key(f"queue:{MODE}:front"), player_id)
    )


both = pytest.mark.parametrize("where", ["here", "there"])


@both
def test_a_queued_player_is_held_out_of_reach_and_comes_back_in_front(nodes: dict[str, Node], where: str) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            await ann.drop()
            eventually(lambda: _held(node, ann.player_id), within_seconds=2)
            assert node.state_of(ann.player_id) == "queued"
            await bob.queue()
            await bob.nothing(for_seconds=0.3)  # three periods of TryMatch: not matched with a ghost
            async with player_on(nodes[where], ann.player_id) as back:
                await _resumed(back, token, "queued", "queued")
                await match_all([back, bob])
                assert [frame["type"] for frame in bob.frames if "seq" in frame] == [
                    "queued",
                    "start_loading",
                    "match_found",
                ]

    asyncio.run(come_back())


@both
@pytest.mark.parametrize("ready", [False, True], ids=["unready", "ready"])
def test_a_loading_player_comes_back_to_the_time_that_is_left(nodes: dict[str, Node], where: str, ready: bool) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            await bob.queue()
            start = await ann.expect("start_loading")
            if ready:
                await ann.loaded(start["loading_session_id"])
                await ann.nothing()
            await ann.drop()
            async with player_on(nodes[where], ann.player_id) as back:
                again = await _resumed(back, token, "loading", "start_loading")
                assert again["loading_session_id"] == start["loading_session_id"]
                assert sorted(again["players"]) == sorted(start["players"])
                assert 0 < again["timeout_seconds"] < start["timeout_seconds"]
                await back.loaded(start["loading_session_id"])
                await back.nothing()
                assert server.calls == []
                await match_all([bob])
                await back.expect("match_found")
                assert [frame["type"] for frame in bob.frames] == ["queued", "start_loading", "match_found"]

    asyncio.run(come_back())


@both
def test_a_player_comes_back_while_its_session_is_being_placed(nodes: dict[str, Node], where: str) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        gate = asyncio.Event()
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            server.answer = after(gate, server.accept)
            token = (await ann.queue())["resume_token"]
            await bob.queue()
            start = await ann.load()
            await bob.load()
            await server.called(1)
            await ann.drop()
            async with player_on(nodes[where], ann.player_id) as back:
                again = await _resumed(back, token, "allocating", "start_loading")
                assert again["loading_session_id"] == start["loading_session_id"]
                assert again["timeout_seconds"] >= 0
                await back.loaded(start["loading_session_id"])
                await back.nothing()  # silently accepted in every later state
                gate.set()
                found = await back.expect("match_found")
                assert (await bob.expect("match_found"))["session_id"] == found["session_id"]
                assert len(server.calls) == 1

    asyncio.run(come_back())


@both
def test_a_match_found_is_repeated_on_every_resume(nodes: dict[str, Node], where: str) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            await bob.queue()
            found, _ = await match_all([ann, bob])
            await ann.drop()
            for _ in range(2):
                async with player_on(nodes[where], ann.player_id) as back:
                    again = await _resumed(back, token, "matched", "match_found")
                    for field in ("session_id", "server_address", "players", "loading_session_id", "game_mode"):
                        assert again[field] == found[field]
                    await back.nothing()
                    await back.drop()
            await bob.nothing()

    asyncio.run(come_back())


@both
def test_a_match_found_that_was_missed_is_told_on_resume(nodes: dict[str, Node], where: str) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            await bob.queue()
            await ann.load()
            await ann.nothing()
            await ann.drop()
            [found] = await match_all([bob])
            async with player_on(nodes[where], ann.player_id) as back:
                again = await _resumed(back, token, "matched", "match_found")
                assert again["session_id"] == found["session_id"]

    asyncio.run(come_back())


def test_a_cancellation_that_was_missed_leads_to_the_queue(nodes: dict[str, Node]) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        async with FakeServer(node), players_on(node, "ann", "bob", "cleo") as (ann, bob, cleo):
            token = (await ann.queue())["resume_token"]
            await bob.queue()
            await ann.expect("start_loading")
            await ann.drop()
            await bob.expect("start_loading")
            await bob.send("dequeue")
            await bob.expect("dequeued", reason="requested")
            async with player_on(nodes["there"], ann.player_id) as back:
                await _resumed(back, token, "queued", "queued")
                await cleo.queue()
                await match_all([back, cleo])

    asyncio.run(come_back())


@both
def test_without_the_token_a_held_player_stays_held(nodes: dict[str, Node], where: str) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        async with players_on(node, "ann") as (ann,):
            token = (await ann.queue())["resume_token"]
            await ann.drop()
            async with player_on(nodes[where], ann.player_id) as back:
                await back.enqueue()
                await back.refused("already_in_queue")
                await _resumed(back, token, "queued", "queued")
                await back.send("dequeue")
                await back.expect("dequeued", reason="requested")
                await back.nothing()

    asyncio.run(come_back())


@both
def test_an_enqueue_after_the_match_is_a_new_journey_and_the_older_connection_ends(
    nodes: dict[str, Node], where: str
) -> None:
    async def enqueue_again() -> None:
        node = nodes["here"]
        async with FakeServer(node), players_on(node, "ann", "bob", "cleo") as (ann, bob, cleo):
            old_token = (await ann.queue())["resume_token"]
            await bob.queue()
            first, _ = await match_all([ann, bob])
            async with player_on(nodes[where], ann.player_id) as newer:
                assert (await newer.queue())["resume_token"] != old_token
                assert await ann.closed() == 4000
                await cleo.queue()
                second, _ = await match_all([newer, cleo])
                assert second["session_id"] != first["session_id"]
                assert [frame["type"] for frame in newer.frames] == ["queued", "start_loading", "match_found"]

    asyncio.run(enqueue_again())


def test_seq_grows_across_connections_and_journeys(nodes: dict[str, Node]) -> None:
    async def come_back() -> None:
        node = nodes["here"]
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            await ann.drop()
            async with player_on(nodes["there"], ann.player_id) as back:
                frame = await _resumed(back, token, "queued", "queued")
                assert frame["seq"] >= ann.frames[-1]["seq"]
                await bob.queue()
                await match_all([back, bob])
                last = back.frames[-1]["seq"]
                await back.queue()
                assert back.frames[-1]["seq"] > last

    asyncio.run(come_back())


@pytest.fixture(scope="module")
def hasty(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with a short grace."""
    prefix = fresh_prefix()
    with Node(tmp_path_factory.mktemp("node"), redis_url, prefix, reconnect_grace_seconds=0.3) as node:
        yield node


def test_who_stays_away_from_the_queue_is_out_after_the_grace(hasty: Node) -> None:
    async def stay_away() -> None:
        async with players_on(hasty, "ann") as (ann,):
            ear = hasty.redis.pubsub(ignore_subscribe_messages=True)
            ear.subscribe(hasty.key(f"notifications:{ann.player_id}"))
            token = (await ann.queue())["resume_token"]
            await ann.drop()
            eventually(lambda: not hasty.state_of(ann.player_id), within_seconds=3)
            assert not hasty.keys("queue:*")
            frames: list[Frame] = []
            while not frames or frames[-1]["type"] != "dequeued":
                message: Any = ear.get_message(timeout=2)
                if message:
                    frames.append(json.loads(message["data"]))
            assert frames[-1]["reason"] == "disconnected"
            ear.close()
            async with player_on(hasty, ann.player_id) as late:
                await late.resume(token)
                await late.refused("invalid_resume_token")
                await late.queue()

    asyncio.run(stay_away())


def test_who_stays_away_from_loading_is_out_and_the_others_are_put_back(hasty: Node) -> None:
    async def stay_away() -> None:
        async with FakeServer(hasty) as server, players_on(hasty, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.load()
            await bob.expect("start_loading")
            await ann.drop()
            await bob.expect(
                "match_cancelled",
                loading_session_id=start["loading_session_id"],
                reason="player_left",
                requeued=True,
                within_seconds=4,
            )
            await bob.expect("queued", requeued=True)
            assert not hasty.state_of(ann.player_id)
            assert server.calls == []

    asyncio.run(stay_away())


def test_a_match_outlives_the_grace_of_its_players(hasty: Node) -> None:
    async def stay_away() -> None:
        async with FakeServer(hasty), players_on(hasty, "ann", "bob", "cleo") as (ann, bob, cleo):
            token = (await ann.queue())["resume_token"]
            await bob.queue()
            await match_all([ann, bob])
            await ann.drop()
            await cleo.queue()
            await cleo.drop()
            eventually(lambda: not hasty.state_of(cleo.player_id), within_seconds=3)  # her grace began later
            async with player_on(hasty, ann.player_id) as back:
                await _resumed(back, token, "matched", "match_found")

    asyncio.run(stay_away())


def test_the_grace_ends_in_the_middle_of_the_placing_and_the_match_goes_on(hasty: Node) -> None:
    async def stay_away() -> None:
        gate = asyncio.Event()
        async with FakeServer(hasty) as server, players_on(hasty, "ann", "bob", "cleo") as (ann, bob, cleo):
            server.answer = after(gate, server.accept)
            await queue_all([ann, bob])
            await ann.load()
            await bob.load()
            await server.called(1)
            await ann.drop()
            await cleo.queue()
            await cleo.drop()
            eventually(lambda: not hasty.state_of(cleo.player_id), within_seconds=3)
            gate.set()
            await bob.expect("match_found")

    asyncio.run(stay_away())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_players_of_a_node_that_ended_resume_on_another(
    redis_url: str, prefix: str, tmp_path: Path, number: signal.Signals
) -> None:
    async def move(ending: Node, staying: Node) -> None:
        async with (
            FakeServer(staying),
            players_on(ending, "ann", "bob", "cleo") as (ann, bob, cleo),
            players_on(staying, "dan") as (dan,),
            AsyncExitStack() as stack,
        ):
            await queue_all([ann, bob])
            await ann.expect("start_loading")
            await bob.expect("start_loading")
            await cleo.queue()
            ending.send_signal(number)
            for player in (ann, bob, cleo):
                assert await player.closed() == (1012 if number == signal.SIGTERM else 1006)
            await asyncio.to_thread(ending.wait)

            back: dict[str, Player] = {}
            for player in (ann, bob, cleo):
                state, then = ("queued", "queued") if player is cleo else ("loading", "start_loading")
                newer = await stack.enter_async_context(player_on(staying, player.player_id))
                frame = await _resumed(newer, player.frames[0]["resume_token"], state, then)
                back[player.player_id] = newer
                if state == "loading":
                    await newer.loaded(frame["loading_session_id"])
            for player in (ann, bob):
                await back[player.player_id].expect("match_found")
            await dan.queue()
            await match_all([back[cleo.player_id], dan])

    with Node(tmp_path, redis_url, prefix) as staying, Node(tmp_path, redis_url, prefix) as ending:
        asyncio.run(move(ending, staying))
