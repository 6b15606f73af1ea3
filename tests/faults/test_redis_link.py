"""The links to Redis: replies lost after the script ran, connections killed, pub/sub cut and black-holed."""

import asyncio
import time
from itertools import count
from typing import Any

import pytest

from match_server.protocol import ErrorCode, MatchCancelled, MatchFound, Queued, StartLoading
from match_server.store.scripts import load_scripts
from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, nobody_is_lost
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.game_server import GameServer
from tests.shared.proxy import RedisProxy
from tests.shared.redis_server import RedisServer

SETTINGS: dict[str, Any] = {"node_lease_seconds": 1, "reconnect_grace_seconds": 3, "allocation_timeout_seconds": 1}


def test_replies_lost_after_the_script_ran(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """8 % of the replies are lost: 60 players, 30 sessions, nobody twice."""
    replies = count(1)

    async def story() -> None:
        async with RedisProxy(redis.path) as proxy:
            running = await asyncio.to_thread(nodes.start, 2, redis_url=proxy.url, **SETTINGS)
            async with Crowd(may_load=False) as crowd, GameServer(running) as server:
                proxy.lose_reply = lambda: next(replies) % 12 == 0
                for _ in range(30):  # a few at a time, for what waits together is asked in one call
                    crowd.add(2, [node.ws for node in running])
                    await crowd.until(lambda player: player.journey.times.queued is not None, within_seconds=20)
                await crowd.until_state(State.LOADING, within_seconds=20)
                await crowd.load()
                await crowd.until_state(State.MATCHED, within_seconds=20)
                everybody_matched_once(redis, prefix, crowd.players, [server])
                assert len(server.made) == 30
                note("replies lost (8 %) on the way to 30 matches", proxy.lost, "replies")
                assert proxy.lost >= 3
                proxy.lose_reply = lambda: False
            await asyncio.to_thread(nodes.stop)

    asyncio.run(story())


async def keep_killing(redis: RedisServer, kind: str, period_seconds: float) -> None:
    while True:
        redis.do("CLIENT", "KILL", "TYPE", kind)
        await asyncio.sleep(period_seconds)


def test_pubsub_connections_killed_every_30_ms(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Everybody gets every message, once and in order."""
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer(running) as server:
            killer = asyncio.create_task(keep_killing(redis, "pubsub", 0.03))
            crowd.add(60, [node.ws for node in running])
            await crowd.until_state(State.LOADING, within_seconds=20)
            leaver = crowd.players[0]
            await leaver.client.leave()  # a cancellation for the other one, among the rest
            await crowd.until(lambda p: p.state is State.LEFT, who=[leaver])
            await crowd.load()
            late = crowd.add(1, [running[0].ws])
            everybody = [player for player in crowd.players if player is not leaver]
            await crowd.until_state(State.MATCHED, who=everybody, within_seconds=20)
            killer.cancel()
            everybody_matched_once(redis, prefix, everybody, [server])
            assert all(p.was_told(MatchFound) == 1 for p in everybody)
            assert sum(p.was_told(MatchCancelled) for p in everybody) == 1
            for player in everybody:
                assert player.was_told(StartLoading) == player.was_told(Queued) == 1 + player.was_told(MatchCancelled)
            assert late[0].state is State.MATCHED

    asyncio.run(story())


def test_connections_of_nodes_killed_every_30_ms(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, GameServer(running) as server:
            killer = asyncio.create_task(keep_killing(redis, "normal", 0.03))
            crowd.add(60, [node.ws for node in running])
            await crowd.until_state(State.MATCHED, within_seconds=20)
            killer.cancel()
            everybody_matched_once(redis, prefix, crowd.players, [server])
            assert len(server.made) == 30

    asyncio.run(story())


@pytest.mark.parametrize("period_seconds", [0.1, 0.01])
def test_script_flush_in_the_middle(redis: RedisServer, prefix: str, nodes: Nodes, period_seconds: float) -> None:
    """Every 10 ms too: then a script that was loaded is often forgotten again before it is called."""
    running = nodes.start(2, **SETTINGS)

    async def flush() -> None:
        while True:
            redis.do("SCRIPT", "FLUSH")
            await asyncio.sleep(period_seconds)

    async def story() -> None:
        async with Crowd() as crowd, GameServer(running) as server:
            flusher = asyncio.create_task(flush())
            crowd.add(60, [node.ws for node in running])
            await crowd.until_state(State.MATCHED, within_seconds=20)
            flusher.cancel()
            everybody_matched_once(redis, prefix, crowd.players, [server])
            assert not any(player.journey.errors for player in crowd.players)

    asyncio.run(story())


def test_pubsub_link_black_holed(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Open, and silent: the node notices by its own heartbeat, builds another link, and reads what was missed."""

    async def story() -> None:
        async with RedisProxy(redis.path) as proxy:
            running = await asyncio.to_thread(nodes.start, 1, redis_url=proxy.url, **SETTINGS)
            async with Crowd() as crowd:
                crowd.add(10, [running[0].ws])
                await crowd.until_state(State.QUEUED)
                proxy.swallow_pubsub = True
                async with GameServer(running) as server:
                    await seen(lambda: redis.do("ZCARD", f"{prefix}sessions:loading:{MODE}") == 5)
                    begun = time.monotonic()
                    await seen(lambda: "pubsub_link_silent" in running[0].log)
                    note("black-holed pub/sub link noticed", time.monotonic() - begun, "s")
                    assert proxy.swallowed
                    proxy.swallow_pubsub = False
                    await crowd.until_state(State.MATCHED)
                    note("black-holed pub/sub link: all 10 matched", time.monotonic() - begun, "s")
                    everybody_matched_once(redis, prefix, crowd.players, [server])
                    assert all(player.was_told(StartLoading) == 1 for player in crowd.players)
            await asyncio.to_thread(nodes.stop)

    asyncio.run(story())


def test_pubsub_black_holed_for_good(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """However often the link is made anew: who waits hears of its match all the same, and gets it."""

    async def story() -> None:
        async with RedisProxy(redis.path) as proxy:
            running = await asyncio.to_thread(nodes.start, 1, redis_url=proxy.url, **SETTINGS)
            async with Crowd() as crowd:
                crowd.add(10, [running[0].ws])
                await crowd.until_state(State.QUEUED)
                proxy.swallow_pubsub = True
                await seen(lambda: "pubsub_link_silent" in running[0].log)
                async with GameServer(running) as server:
                    begun = time.monotonic()
                    await crowd.until_state(State.MATCHED, within_seconds=10)
                    note("pub/sub silent for good: all 10 matched", time.monotonic() - begun, "s")
                    everybody_matched_once(redis, prefix, crowd.players, [server])
                    assert all(player.was_told(StartLoading) == 1 for player in crowd.players)
                proxy.swallow_pubsub = False
            await asyncio.to_thread(nodes.stop)

    asyncio.run(story())


def test_an_enqueue_while_pubsub_is_black_holed_is_refused_for_now_or_carried_out(
    redis: RedisServer, prefix: str, nodes: Nodes
) -> None:
    async def story() -> None:
        async with RedisProxy(redis.path) as proxy:
            running = await asyncio.to_thread(nodes.start, 1, redis_url=proxy.url, **SETTINGS)
            async with Crowd() as crowd, GameServer(running):
                proxy.swallow_pubsub = True
                crowd.add(4, [running[0].ws])
                await seen(lambda: "pubsub_link_silent" in running[0].log)
                proxy.swallow_pubsub = False
                await crowd.until_state(State.MATCHED)
                nobody_is_lost(redis, prefix, crowd)
            await asyncio.to_thread(nodes.stop)

    asyncio.run(story())


def test_an_enqueue_told_busy_whose_node_is_then_thought_dead_is_found_again(
    redis: RedisServer, prefix: str, nodes: Nodes
) -> None:
    """It took effect; its player is held by the time at which the client repeats it."""
    script = load_scripts()["enqueue"]
    redis.do("SCRIPT", "LOAD", script.text)  # so that its first call takes effect
    enqueue = script.sha.encode()
    away = asyncio.Event()
    back = asyncio.Event()

    async def story() -> None:
        async with RedisProxy(redis.path) as proxy:
            settings = SETTINGS | {"reconnect_grace_seconds": 20}
            (lost,) = await asyncio.to_thread(nodes.start, 1, redis_url=proxy.url, **settings)
            (other,) = await asyncio.to_thread(nodes.start, 1, **settings)

            async def cut(request: bytes) -> None:
                if enqueue in request and not away.is_set():
                    away.set()
                    proxy.lose_reply = lambda: True
                elif away.is_set():
                    await back.wait()

            async with Crowd() as crowd:
                proxy.before_request = cut
                crowd.add(2, [lost.ws])
                await crowd.until(lambda player: player.journey.errors[ErrorCode.SERVER_BUSY] > 0)
                await seen(lambda: "nodes_dead" in other.log)
                await seen(lambda: redis.do("ZCARD", f"{prefix}held") > 0)
                proxy.lose_reply = lambda: False
                back.set()
                async with GameServer([other]) as server:
                    await crowd.until_state(State.MATCHED, within_seconds=15)
                    everybody_matched_once(redis, prefix, crowd.players, [server])
            await asyncio.to_thread(nodes.stop)

    asyncio.run(story())
