"""`server_busy` and `internal_error`: what a client is told while Redis is away, or holds what nobody put there."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, Frame, Player, match_all, player_on, players_on, queue_all
from tests.shared.redis_server import RedisServer


@pytest.fixture
def redis_process() -> Iterator[RedisServer]:
    with RedisServer() as process:
        yield process


@pytest.fixture
def lonely(redis_process: RedisServer, tmp_path: Path) -> Iterator[Node]:
    """A node with a Redis of its own."""
    settings: dict[str, Any] = {
        "game_modes": f"{MODE}:2,Trio:3,Other_trio:3",
        "node_lease_seconds": 1,  # an outage outlasts it
        "reconnect_grace_seconds": 1,
        "stop_seconds": 2,
    }
    with Node(tmp_path, redis_process.url, **settings) as node:
        yield node


async def _until_loading(player: Player) -> Frame:
    """Repeat an enqueue that was told `server_busy`, as the contract says, until its match loads."""
    await player.enqueue()
    while True:
        frame = await player.next()
        if frame.get("code") == "server_busy":
            await asyncio.sleep(frame["retry_after_seconds"])
            await player.enqueue()
        elif frame["type"] == "start_loading":
            return frame
        else:
            assert frame["type"] == "queued" or frame["code"] == "already_in_queue"


def test_a_frozen_redis_delays_everything_and_loses_nothing(lonely: Node, redis_process: RedisServer) -> None:
    async def outage() -> None:
        async with (
            FakeServer(lonely),
            players_on(lonely, "ann", "bob", "cleo", "dan", "eve", "fay", "gus", "old") as players,
        ):
            ann, bob, cleo, dan, eve, fay, gus, old = players
            await queue_all([dan, eve])
            start = await dan.expect("start_loading")
            await eve.expect("start_loading")
            await cleo.queue("Trio")
            await fay.queue("Other_trio")
            token = (await old.queue("Other_trio"))["resume_token"]
            async with player_on(lonely, old.player_id) as back:
                redis_process.pause()
                await ann.enqueue()
                await bob.enqueue()
                await back.resume(token)
                await cleo.send("dequeue")
                await dan.loaded(start["loading_session_id"])
                await eve.loaded(start["loading_session_id"])
                for player in (ann, bob, back):
                    refusal = await player.expect("error", code="server_busy", within_seconds=15)
                    assert 0 < refusal["retry_after_seconds"] <= 30
                for player in (ann, cleo, dan, eve, fay):
                    await player.silent()  # the socket stays; what must be kept is kept without a word
                assert lonely.http.get("/healthz").status_code == 200
                assert lonely.http.get("/readyz").status_code == 503

                redis_process.go_on()
                await cleo.expect("dequeued", reason="requested")
                await dan.expect("match_found")
                await eve.expect("match_found")
                async with asyncio.timeout(15):
                    one, two = await asyncio.gather(_until_loading(ann), _until_loading(bob))
                assert one["loading_session_id"] == two["loading_session_id"]
                for player in (ann, bob):
                    assert [frame["type"] for frame in player.frames if "seq" in frame] == ["queued", "start_loading"]

                await back.resume(token)
                await back.expect("resumed", state="queued")
                await back.expect("queued")
                assert await old.closed() == 4000
                await gus.queue("Other_trio")  # nobody who waited was lost, longer than any lease as it took
                await match_all([fay, back, gus])
                assert [frame["type"] for frame in fay.frames if "seq" in frame] == [
                    "queued",
                    "start_loading",
                    "match_found",
                ]
                eventually(lambda: lonely.http.get("/readyz").status_code == 200)

    asyncio.run(outage())


def test_a_ping_is_answered_while_an_earlier_request_waits_for_redis(lonely: Node, redis_process: RedisServer) -> None:
    async def outage() -> None:
        async with players_on(lonely, "ann", "bob") as (ann, bob):
            await ann.queue()
            redis_process.pause()
            await ann.send("dequeue")
            await bob.enqueue()
            for player in (ann, bob):
                await player.send("ping")
                await player.expect("pong", within_seconds=2)
            redis_process.go_on()
            await ann.expect("dequeued", reason="requested")
            await bob.expect("queued")

    asyncio.run(outage())


def test_without_redis_the_node_stays_up_says_so_and_stops_cleanly(lonely: Node, redis_process: RedisServer) -> None:
    async def outage() -> None:
        async with players_on(lonely, "ann", "bob") as (ann, bob):
            await bob.queue()
            redis_process.kill()
            await ann.enqueue()
            await ann.expect("error", code="server_busy", within_seconds=15)
            await bob.nothing()
            assert lonely.http.get("/healthz").status_code == 200
            answer = lonely.http.get("/readyz")
            assert answer.status_code == 503
            assert "redis" in answer.text.lower(), "with the reason"
            assert lonely.http.get("/queues").status_code == 503
            assert lonely.http.get("/queues").headers["content-type"] == "application/problem+json"
            metrics = lonely.http.get("/metrics").text.splitlines()
            assert {"match_redis_up 0.0", "match_ready 0.0"} <= set(metrics)
            assert [line for line in metrics if line.startswith("match_queue_length")] == []

    asyncio.run(outage())


def test_a_stop_while_redis_is_frozen_keeps_the_stop_deadline(lonely: Node, redis_process: RedisServer) -> None:
    async def outage() -> None:
        async with players_on(lonely, "idle", "ann") as (idle, ann):
            await ann.queue()
            redis_process.pause()
            await ann.send("dequeue")
            lonely.send_signal(signal.SIGTERM)
            assert await idle.closed(within_seconds=2) == 1012
            assert await ann.closed(within_seconds=2) == 1012
            assert await asyncio.to_thread(lonely.wait, within_seconds=3) == 0

    asyncio.run(outage())


def test_a_bug_is_answered_with_an_error_id_that_stands_in_the_log(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def poison(node: Node) -> None:
        async with player_on(node) as player:
            node.redis.set(node.key(f"player:{player.player_id}"), "no hash at all")
            await player.enqueue()
            refusal = await player.refused("internal_error")
            assert refusal["error_id"]
            assert refusal["error_id"] in node.log
            await player.nothing()
            assert node.redis.get(node.key(f"player:{player.player_id}")) == "no hash at all"
            node.redis.delete(node.key(f"player:{player.player_id}"))
            assert node.queue()["waiting"] == 0
            await player.queue()

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(poison(node))


def test_one_poisonous_player_spoils_nobody_elses_enqueue(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def poison(node: Node) -> None:
        async with FakeServer(node), players_on(node, "bad", *(f"p{n}" for n in range(20))) as (bad, *others):
            node.redis.set(node.key(f"player:{bad.player_id}"), "no hash at all")
            for player in (*others[:10], bad, *others[10:]):
                await player.enqueue()
            await bad.refused("internal_error")
            for player in others:
                await player.expect("queued")
            for player in others:
                await player.load()
            for player in others:
                await player.expect("match_found")
            node.redis.delete(node.key(f"player:{bad.player_id}"))

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(poison(node))


def test_after_script_flush_the_journey_goes_on(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def flush(node: Node) -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            node.redis.script_flush()
            await bob.queue(MODE)
            await match_all([ann, bob])

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(flush(node))
