"""Redis killed and restarted, with its data and without; emptied under everybody, in each state."""

import asyncio
import time
from typing import Any

import pytest

from match_server.protocol import MatchCancelled, Queued, Resumed
from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, look, nobody_is_in_two_places, nobody_is_lost
from tests.shared.crowd import MODE, Crowd, Player, seen
from tests.shared.fake_server import Call, Reply, hang
from tests.shared.game_server import GameServer
from tests.shared.redis_server import RedisServer

BACK_WITHIN_SECONDS = 5.0
SETTINGS: dict[str, Any] = {"node_lease_seconds": 1, "reconnect_grace_seconds": 3, "allocation_timeout_seconds": 1}


def nobody_lost_its_link(crowd: Crowd) -> None:
    assert [player.player_id for player in crowd.players if player.journey.links_lost] == []


@pytest.mark.parametrize("keeps_its_data", [True, False], ids=["with its data", "without its data"])
def test_redis_killed_for_two_seconds_under_40_waiting_players(
    redis: RedisServer, prefix: str, nodes: Nodes, keeps_its_data: bool
) -> None:
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            for node in running:
                crowd.add(20, [node.ws])
            await crowd.until_state(State.QUEUED)  # no server: they wait
            redis.kill()
            await asyncio.sleep(2)  # the length of the fault, not a wait for anything
            redis.start()
            back_at = time.monotonic()
            async with GameServer(running) as server:
                await crowd.until_state(State.MATCHED, within_seconds=BACK_WITHIN_SECONDS)
                how = "with" if keeps_its_data else "without"
                note(f"Redis killed {how} its data: 40 matched", time.monotonic() - back_at, "s")
                everybody_matched_once(redis, prefix, crowd.players, [server])
            nobody_lost_its_link(crowd)

    asyncio.run(story())


@pytest.mark.parametrize("keeps_its_data", [True, False], ids=["with its data", "without its data"])
def test_redis_killed_at_every_step_of_60_players(
    redis: RedisServer, prefix: str, nodes: Nodes, keeps_its_data: bool
) -> None:
    """A third waits, a third loads and a third is being placed. `loading_complete` is kept while Redis is away."""
    running = nodes.start(2, **SETTINGS)
    urls = [node.ws for node in running]

    async def story() -> None:
        async with Crowd(may_load=True) as crowd, GameServer(running, answer=hang, capacity=10) as placing:
            crowd.add(20, urls)
            await placing.called(1)
            crowd.may_load = False
            async with GameServer(running, capacity=10) as server:
                loading = crowd.add(20, urls)
                await crowd.until_state(State.LOADING)
                crowd.add(20, urls)
                await crowd.until_state(State.LOADING, State.QUEUED)
                redis.kill()
                crowd.may_load = True
                for player in loading:
                    await player.load()
                placing.answer = placing.accept
                server._registration["capacity"] = placing._registration["capacity"] = 100  # for when they come back
                redis.start()
                back_at = time.monotonic()
                await server.enlist()
                await placing.enlist()
                await crowd.until_state(State.MATCHED, within_seconds=10)
                note("Redis killed at every step: 60 matched", time.monotonic() - back_at, "s")
                nobody_lost_its_link(crowd)
                nobody_is_lost(redis, prefix, crowd)
                assert {player.journey.match is not None for player in crowd.players} == {True}

    asyncio.run(story())


def test_flushall_with_players_waiting(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """They are put back, in the order of their waiting, and matched."""
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            for node in running:
                crowd.add(5, [node.ws])
            await crowd.until_state(State.QUEUED)
            before = nobody_is_in_two_places(redis, prefix)[f"waiting:{MODE}"]
            redis.do("FLUSHALL")
            flushed_at = time.monotonic()
            await seen(lambda: redis.do("ZCARD", f"{prefix}waiting:{MODE}") == 10, within_seconds=BACK_WITHIN_SECONDS)
            note("FLUSHALL: 10 waiting players put back", time.monotonic() - flushed_at, "s")
            after = nobody_is_in_two_places(redis, prefix)[f"waiting:{MODE}"]
            assert after == before, "with their original times of waiting"
            async with GameServer(running) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server])
            assert all(player.was_told(Queued) == 1 for player in crowd.players), "nobody noticed"
            nobody_lost_its_link(crowd)

    asyncio.run(story())


def test_flushall_while_loading(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """The match is called off (state_lost), its players are queued again, and matched."""
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer(running) as server:
            crowd.add(10, [node.ws for node in running])
            await crowd.until_state(State.LOADING)
            redis.do("FLUSHALL")
            await crowd.until(lambda player: player.was_told(MatchCancelled) == 1)
            cancelled = {(m.reason, m.requeued) for p in crowd.players for m in p.told if isinstance(m, MatchCancelled)}
            assert cancelled == {("state_lost", True)}
            await crowd.load()
            await crowd.until_state(State.MATCHED)
            everybody_matched_once(redis, prefix, crowd.players, [server])
            nobody_lost_its_link(crowd)

    asyncio.run(story())


def test_flushall_while_allocating(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """The players are matched anew. The session that was made in vain keeps its slot until its server ends it."""
    running = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, GameServer(running) as server:
            flushed = asyncio.Event()

            async def empty_redis_first(call: Call) -> Reply | None:
                if not flushed.is_set():
                    redis.do("FLUSHALL")
                    flushed.set()
                return await server.accept(call)

            server.answer = empty_redis_first
            crowd.add(2, [running[0].ws])
            await flushed.wait()
            await crowd.until_state(State.MATCHED)
            in_vain, found = server.made.values()
            assert {player.journey.match.session_id for player in crowd.players if player.journey.match} == {
                found.session_id
            }
            await seen(lambda: set(look(redis, prefix)[f"active:{server.server_id}"]) == server.live)
            if in_vain.session_id in server.live:
                await server.end_session(in_vain.session_id)
            server.ended.append(in_vain.session_id)
            everybody_matched_once(redis, prefix, crowd.players, [server])
            assert set(look(redis, prefix)[f"active:{server.server_id}"]) == {found.session_id}

    asyncio.run(story())


def test_a_player_in_its_grace_proves_itself_to_an_empty_redis(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            here, there = (node.ws for node in running)
            crowd.may_come_back.clear()
            away = crowd.add(2, [here, there])
            await crowd.until_state(State.QUEUED)
            for player in away:
                player.client.drop_link()
            await seen(lambda: redis.do("ZCARD", f"{prefix}held") == 2)
            redis.do("FLUSHALL")
            await seen(lambda: redis.do("HGET", f"{prefix}clock", "emptied_us"))
            crowd.may_come_back.set()
            await crowd.until_state(State.QUEUED)
            await crowd.until(lambda player: player.was_told(Queued) == 2)
            async with GameServer(running) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server])

    asyncio.run(story())


def test_redis_restarted_with_older_data(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Who enqueued after the last snapshot is put back, and is not taken for somebody who left."""
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            urls = [node.ws for node in running]
            crowd.add(10, urls)
            await crowd.until_state(State.QUEUED)
            await seen(lambda: redis.do("HGET", f"{prefix}clock", "epoch"))
            redis.do("SAVE")
            crowd.add(10, urls)
            await crowd.until_state(State.QUEUED)
            redis.kill()
            redis.start()
            await seen(lambda: redis.do("ZCARD", f"{prefix}waiting:{MODE}") == 20)
            async with GameServer(running) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server])
            nobody_lost_its_link(crowd)

    asyncio.run(story())


def test_redis_restarted_with_data_from_before_players_moved_to_new_connections(
    redis: RedisServer, prefix: str, nodes: Nodes
) -> None:
    """The records name the connections that they came from; those are gone, and nobody is closed with 4000."""
    running = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            moving = crowd.add(10, [node.ws for node in running])
            await crowd.until_state(State.QUEUED)
            await seen(lambda: redis.do("HGET", f"{prefix}clock", "epoch"))
            redis.do("SAVE")
            for player in moving:
                player.client.drop_link()
            await crowd.until(lambda player: player.was_told(Resumed) == 1)
            await crowd.until_state(State.QUEUED)
            redis.kill()
            redis.start()
            await seen(lambda: owners(redis, prefix, moving) == 10)
            async with GameServer(running) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server])
            assert [len(player.closes) for player in moving] == [1] * 10, [player.closes for player in moving]

    asyncio.run(story())


def owners(redis: RedisServer, prefix: str, players: list[Player]) -> int:
    """How many of them have a record that a resume's connection owns."""
    claims = [redis.do("HGET", f"{prefix}player:{player.player_id}", "claimed_seq") for player in players]
    return sum(claim is not None for claim in claims)
