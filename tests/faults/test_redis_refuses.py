"""A Redis that is there and does not work: paused, full, read-only, busy."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from redis.exceptions import ResponseError

from match_server.protocol import ErrorCode
from match_server.store.scripts import load_scripts
from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, nobody_is_in_two_places, nobody_is_lost
from tests.shared.crowd import Crowd, Player, seen
from tests.shared.game_server import GameServer
from tests.shared.node import Node
from tests.shared.proxy import RedisProxy
from tests.shared.redis_server import RedisServer

SETTINGS: dict[str, Any] = {"node_lease_seconds": 1, "reconnect_grace_seconds": 3, "allocation_timeout_seconds": 1}


def nobody_was_thought_dead(running: list[Node]) -> None:
    for node in running:
        assert not re.search("node_was_thought_dead|nodes_dead", node.log), node.log


def nobody_lost_its_link(crowd: Crowd) -> None:
    assert [player.player_id for player in crowd.players if player.journey.links_lost] == []


def is_told_busy(player: Player) -> bool:
    return player.journey.errors[ErrorCode.SERVER_BUSY] > 0


def test_redis_paused_for_8_seconds(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Longer than the lease of 1 s: live nodes survive, nobody is lost or doubled, and a request is refused for now."""
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer(running, capacity=10) as server:
            loading = crowd.add(20, [node.ws for node in running])
            await crowd.until_state(State.LOADING)
            waiting = crowd.add(20, [node.ws for node in running], name="waits")
            await crowd.until_state(State.QUEUED, who=waiting)
            redis.pause()
            paused_at = time.monotonic()
            crowd.may_load = True
            for player in loading:
                await player.load()
            late = crowd.add(10, [node.ws for node in running], name="late")
            await crowd.until(is_told_busy, who=late)
            note("paused Redis: enqueue refused with server_busy after", time.monotonic() - paused_at, "s")
            await asyncio.sleep(8 - (time.monotonic() - paused_at))  # the length of the fault
            redis.go_on()
            back_at = time.monotonic()
            await crowd.until_state(State.MATCHED, who=loading)
            note("Redis paused 8 s: those who had loaded are matched", time.monotonic() - back_at, "s")
            await crowd.until_state(State.QUEUED, who=[*waiting, *late])
            nobody_is_lost(redis, prefix, crowd)
            everybody_matched_once(redis, prefix, loading, [server])
            nobody_lost_its_link(crowd)
            nobody_was_thought_dead(running)

    asyncio.run(story())


def test_redis_paused_between_a_sweep_and_its_judgement(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """What ends the overdue lay in a paused Redis, and must not judge by the time at which it runs."""
    paused = asyncio.Event()

    async def story() -> None:
        async with RedisProxy(redis.path) as proxy:
            running = await asyncio.to_thread(nodes.start, 1, redis_url=proxy.url, **SETTINGS)
            judging = load_scripts()["expire_nodes"].sha.encode()

            async def pause(request: bytes) -> None:
                if judging in request and not paused.is_set():
                    paused.set()
                    redis.pause()

            async with Crowd() as crowd:
                crowd.add(4, [running[0].ws])
                await crowd.until_state(State.QUEUED)
                await seen(lambda: redis.do("HGET", f"{prefix}clock", "swept_us"))
                proxy.before_request = pause
                await paused.wait()
                await asyncio.sleep(2.5)  # the length of the fault
                redis.go_on()
                async with GameServer(running) as server:
                    await crowd.until_state(State.MATCHED)
                    everybody_matched_once(redis, prefix, crowd.players, [server])
                nobody_was_thought_dead(running)
            await asyncio.to_thread(nodes.stop)

    asyncio.run(story())


@contextmanager
def read_only(redis: RedisServer) -> Iterator[None]:
    redis.do("REPLICAOF", "127.0.0.1", "1")
    yield
    redis.do("REPLICAOF", "NO", "ONE")


@contextmanager
def not_even_readable(redis: RedisServer) -> Iterator[None]:
    redis.do("CONFIG", "SET", "replica-serve-stale-data", "no")
    with read_only(redis):
        yield


@pytest.mark.parametrize("refusing", [read_only, not_even_readable], ids=["READONLY", "MASTERDOWN"])
def test_redis_is_a_replica_for_a_while(
    redis: RedisServer, prefix: str, nodes: Nodes, refusing: Callable[[RedisServer], AbstractContextManager[None]]
) -> None:
    """The node was left talking to a demoted primary; `loading_complete` and `dequeue` are kept."""
    running = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer(running, capacity=3) as server:
            url = [running[0].ws]
            loading = crowd.add(4, url)
            await crowd.until_state(State.LOADING)
            (leaver,) = crowd.add(1, url)
            await crowd.until_state(State.QUEUED, who=[leaver])
            with refusing(redis):
                (late,) = crowd.add(1, url)
                await crowd.until(is_told_busy, who=[late])
                crowd.may_load = True
                for player in loading:
                    await player.load()
                await leaver.client.leave()
            await crowd.until_state(State.MATCHED, who=loading)
            await crowd.until(lambda p: p.state is State.LEFT, who=[leaver])
            await crowd.until_state(State.QUEUED, who=[late])
            everybody_matched_once(redis, prefix, loading, [server])
            nobody_is_lost(redis, prefix, crowd)
            nobody_lost_its_link(crowd)
            nobody_was_thought_dead(running)
            assert not any(player.journey.errors[ErrorCode.INTERNAL_ERROR] for player in crowd.players)

    asyncio.run(story())


def test_redis_out_of_memory(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """`enqueue` is refused with server_busy. Who is in can load, leave and come back, and gets its match."""
    running = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer(running, capacity=2) as server:
            url = [running[0].ws]
            loading = crowd.add(4, url)
            await crowd.until_state(State.LOADING)
            leaver, stayer = crowd.add(2, url)
            await crowd.until_state(State.QUEUED, who=[leaver, stayer])
            redis.do("CONFIG", "SET", "maxmemory", "1")
            (late,) = crowd.add(1, url)
            await crowd.until(is_told_busy, who=[late])
            await leaver.client.leave()
            await crowd.until(lambda p: p.state is State.LEFT, who=[leaver])
            await loading[0].client.leave()  # which puts its opponent back
            await crowd.until(lambda p: p.state is State.LEFT, who=[loading[0]])
            stayer.client.drop_link()  # it is held, and comes back
            crowd.may_load = True
            for player in loading[1:]:
                await player.load()
            await crowd.until_state(State.MATCHED, who=[*loading[1:], stayer])
            nobody_is_in_two_places(redis, prefix)
            redis.do("CONFIG", "SET", "maxmemory", "0")
            back_at = time.monotonic()
            everybody = [p for p in crowd.players if p.state is not State.LEFT]
            await crowd.until_state(State.MATCHED, State.QUEUED, who=everybody)
            note("full Redis: the newcomer queued after there was room", time.monotonic() - back_at, "s")
            matched = [p for p in everybody if p.state is State.MATCHED]
            assert len(matched) == 4
            nobody_is_lost(redis, prefix, crowd)
            everybody_matched_once(redis, prefix, matched, [server])

    asyncio.run(story())


def test_redis_is_busy_with_a_script_of_somebody_else(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    running = nodes.start(1, **SETTINGS)

    def run_forever() -> None:
        with pytest.raises(ResponseError, match="killed"):
            redis.do("EVAL", "while true do end", 0)

    async def story() -> None:
        redis.do("CONFIG", "SET", "busy-reply-threshold", "100")
        async with Crowd(may_load=False) as crowd, GameServer(running) as server:
            url = [running[0].ws]
            loading = crowd.add(4, url)
            await crowd.until_state(State.LOADING)
            script = asyncio.create_task(asyncio.to_thread(run_forever))
            (late,) = crowd.add(1, url)
            await crowd.until(is_told_busy, who=[late])
            crowd.may_load = True
            for player in loading:
                await player.load()
            redis.do("SCRIPT", "KILL")
            await script
            await crowd.until_state(State.MATCHED, who=loading)
            await crowd.until_state(State.QUEUED, who=[late])
            everybody_matched_once(redis, prefix, loading, [server])
            nobody_is_lost(redis, prefix, crowd)
            nobody_was_thought_dead(running)

    asyncio.run(story())
