"""Who leaves, and what the others are told."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer, Reply, after, answering
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, Player, match_all, player_on, players_on, queue_all

SETTINGS = {"game_modes": f"{MODE}:2,Trio:3", "messages_per_second": 1000}


async def _put_back(player: Player, loading_session_id: str, reason: str) -> None:
    """The two frames of who is not at fault, and the token that stays the same for the journey."""
    token = next(frame["resume_token"] for frame in reversed(player.frames) if frame["type"] == "queued")
    await player.expect("match_cancelled", loading_session_id=loading_session_id, reason=reason, requeued=True)
    await player.expect("queued", game_mode=MODE, requeued=True, resume_token=token)


@pytest.mark.parametrize("code", [1000, 1001, None])
def test_a_clean_close_in_the_queue_takes_the_player_out_at_once(node: Node, code: int | None) -> None:
    async def leave() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob", "cleo") as (ann, bob, cleo):
            await ann.queue()
            if code is None:
                ann.link.transport.write(b"\x88\x80" + bytes(4))  # a close frame with no code in it
                await ann.closed()
            else:
                await ann.link.close(code)
            eventually(lambda: not node.state_of(ann.player_id), within_seconds=1)
            assert not node.keys("queue:*")
            await bob.queue()
            await bob.nothing()
            await cleo.queue()
            for frame in await match_all([bob, cleo]):
                assert ann.player_id not in frame["players"]
            assert len(server.calls) == 1

    asyncio.run(leave())


def test_a_dequeue_takes_the_player_out_and_leaves_the_connection_open(node: Node) -> None:
    async def leave() -> None:
        async with player_on(node) as player:
            await player.queue()
            await player.send("dequeue", player_id=player.player_id, game_mode=MODE)
            await player.expect("dequeued", reason="requested")
            assert not node.state_of(player.player_id)
            assert not node.keys("queue:*")
            await player.queue()

    asyncio.run(leave())


@pytest.mark.parametrize("how", ["dequeue", "close"])
def test_who_leaves_while_loading_ends_the_match_and_the_other_is_put_back(node: Node, how: str) -> None:
    async def leave() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob", "cleo") as (ann, bob, cleo):
            await queue_all([ann, bob])
            start = await ann.load()  # ready or not is all the same
            await bob.expect("start_loading")
            session = node.key(f"loading:{start['loading_session_id']}")
            eventually(lambda: node.redis.hget(session, ann.player_id) == "ready")
            if how == "dequeue":
                await bob.send("dequeue")
                await bob.expect("dequeued", reason="requested")
                await bob.nothing()
            else:
                await bob.leave()
            await _put_back(ann, start["loading_session_id"], "player_left")
            await ann.nothing()
            eventually(lambda: not node.state_of(bob.player_id), within_seconds=1)
            assert not node.keys("loading:*")
            assert server.calls == []
            await cleo.queue()
            for frame in await match_all([ann, cleo]):
                assert bob.player_id not in frame["players"]

    asyncio.run(leave())


def test_who_is_put_back_comes_before_newcomers_in_the_original_order(node: Node) -> None:
    async def leave() -> None:
        names = ["ann", "bob", "cleo", *(f"new{n}" for n in range(12))]
        async with FakeServer(node, capacity=1), players_on(node, *names) as (ann, bob, cleo, *newcomers):
            await queue_all([ann, bob, cleo], "Trio")  # takes the only slot
            for player in (ann, bob, cleo):
                await player.expect("start_loading")
            await queue_all(newcomers, "Trio")
            assert node.queue("Trio")["waiting"] == 12
            node.http.post("/queues/Trio/pause")
            try:
                await bob.send("dequeue")
                await bob.expect("dequeued")
                for player in (ann, cleo):
                    await player.expect("match_cancelled", requeued=True)
                    await player.expect("queued", requeued=True)
                front = node.redis.zrange(node.key("queue:Trio:front"), 0, -1)
                assert front == [ann.player_id, cleo.player_id]
                row = node.queue("Trio")
                assert row["waiting"] == 14
            finally:
                node.http.post("/queues/Trio/resume")
            start = await ann.expect("start_loading")
            assert (await cleo.expect("start_loading"))["players"] == start["players"]

    asyncio.run(leave())


def test_the_wait_of_who_is_put_back_counts_from_its_enqueue(node: Node) -> None:
    async def leave() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            await ann.nothing(for_seconds=0.3)
            await bob.queue()
            await ann.expect("start_loading")
            await bob.expect("start_loading")
            await bob.leave()
            await ann.expect("match_cancelled")
            await ann.expect("queued", requeued=True)
            assert node.queue()["oldest_wait_seconds"] >= 0.3

    asyncio.run(leave())


def test_who_leaves_while_the_session_is_being_placed_does_not_stop_it(node: Node) -> None:
    async def leave() -> None:
        gate = asyncio.Event()
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            server.answer = after(gate, server.accept)
            await queue_all([ann, bob])
            await ann.load()
            await bob.load()
            await server.called(1)
            await bob.leave()
            gate.set()
            await ann.expect("match_found")
            assert len(server.calls) == 1

    asyncio.run(leave())


def test_who_left_during_a_placing_that_fails_is_not_put_back(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def leave(node: Node) -> None:
        gate = asyncio.Event()
        refused = after(gate, answering(Reply(500, {})))
        async with FakeServer(node, answer=refused) as server, players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.load()
            await bob.load()
            await server.called(1)
            await bob.leave()
            gate.set()
            await _put_back(ann, start["loading_session_id"], "allocation_failed")
            assert not node.state_of(bob.player_id)
            assert node.queue()["waiting"] == 1

    with Node(tmp_path, redis_url, prefix, allocation_attempts=1, allocation_wait_seconds=0.5) as node:
        asyncio.run(leave(node))


def test_who_leaves_after_match_found_disturbs_nobody(node: Node) -> None:
    async def leave() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            await match_all([ann, bob])
            await bob.leave()
            await ann.nothing()
            await ann.queue()

    asyncio.run(leave())


def test_who_never_loads_is_out_and_the_other_is_put_back(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def time_out(node: Node) -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.load()
            assert 0 < start["timeout_seconds"] <= 1
            await bob.expect("start_loading")
            await bob.expect("dequeued", reason="loading_timeout", within_seconds=4)
            await _put_back(ann, start["loading_session_id"], "loading_timeout")
            await bob.nothing()
            await ann.nothing()
            assert not node.state_of(bob.player_id)
            assert not node.keys("loading:*")
            assert server.calls == []
            await bob.loaded(start["loading_session_id"])
            await bob.refused("not_in_queue")
            await bob.queue()
            await match_all([ann, bob])

    with Node(tmp_path, redis_url, prefix, loading_timeout_seconds=1) as node:
        asyncio.run(time_out(node))


def test_when_nobody_loads_everybody_is_out(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def time_out(node: Node) -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            for player in (ann, bob):
                await player.expect("start_loading")
            for player in (ann, bob):
                await player.expect("dequeued", reason="loading_timeout")
                await player.nothing()
            assert node.queue()["waiting"] == 0
            assert not node.keys("player:*ann*")

    with Node(tmp_path, redis_url, prefix, loading_timeout_seconds=0.5) as node:
        asyncio.run(time_out(node))


def test_who_waits_longer_than_the_queue_timeout_is_told_so(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def time_out(node: Node) -> None:
        async with FakeServer(node), players_on(node, "ann", "bob", "cleo") as (ann, bob, cleo):
            await ann.queue()
            await ann.expect("dequeued", reason="queue_timeout")
            assert not node.state_of(ann.player_id)
            assert not node.keys("queue:*")
            await ann.send("dequeue")
            await ann.refused("not_in_queue")
            await queue_all([bob, cleo])
            await match_all([bob, cleo])
            await ann.queue()

    with Node(tmp_path, redis_url, prefix, queue_timeout_seconds=0.5) as node:
        asyncio.run(time_out(node))


def test_a_player_that_vanished_is_noticed_and_dropped(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def vanish(node: Node) -> None:
        async with FakeServer(node), players_on(node, "ann", "bob", "cleo") as (ann, bob, cleo):
            await queue_all([ann, bob])
            await ann.expect("start_loading")
            await bob.expect("start_loading")
            ann.link.transport.pause_reading()  # no pong, no close: as if the cable were cut
            await bob.expect("match_cancelled", reason="player_left", requeued=True)
            await bob.expect("queued", requeued=True)
            assert not node.state_of(ann.player_id)
            await cleo.queue()
            await match_all([bob, cleo])
            ann.link.transport.abort()

    settings: dict[str, Any] = {
        "ping_interval_seconds": 0.3,
        "ping_timeout_seconds": 0.3,
        "reconnect_grace_seconds": 0.3,
    }
    with Node(tmp_path, redis_url, prefix, **settings) as node:
        asyncio.run(vanish(node))
