"""`kill -9` of a node, at each step of the journey: another one finishes or undoes, the players resume, nobody is lost.

40 players are on the node that dies and 20 on the one that stays; who comes back goes to either.
"""

import asyncio
import time
from typing import Any

import pytest

from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, nobody_is_in_two_places
from tests.shared.crowd import Crowd
from tests.shared.fake_server import Call, Reply, hang
from tests.shared.game_server import GameServer
from tests.shared.node import Node
from tests.shared.redis_server import RedisServer

LEASE_SECONDS = 1.0
SETTINGS: dict[str, Any] = {
    "node_lease_seconds": LEASE_SECONDS,
    "reconnect_grace_seconds": 3,
    "allocation_timeout_seconds": 1,
}


async def crowd_on(crowd: Crowd, dying: Node, staying: Node) -> None:
    crowd.add(40, [dying.ws, staying.ws])
    crowd.add(20, [staying.ws, staying.ws])


async def all_matched(crowd: Crowd, killed_at: float, name: str, lease_seconds: float = LEASE_SECONDS) -> None:
    """Within the lease and 5 s of the kill."""
    await crowd.until_state(State.MATCHED, within_seconds=lease_seconds + 5)
    took = time.monotonic() - killed_at
    note(f"kill -9 while {name}: all 60 matched", took, "s")
    assert took < lease_seconds + 5


def test_kill_9_while_queued(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    dying, staying = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            await crowd_on(crowd, dying, staying)
            await crowd.until_state(State.QUEUED)  # no server yet: they wait
            dying.kill()
            killed_at = time.monotonic()
            async with GameServer([staying]) as server:
                await all_matched(crowd, killed_at, "queued")
                everybody_matched_once(redis, prefix, crowd.players, [server])

    asyncio.run(story())


def test_kill_9_while_loading(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    dying, staying = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer([staying]) as server:
            await crowd_on(crowd, dying, staying)
            await crowd.until_state(State.LOADING)
            for player in crowd.players[::2]:
                await player.load()  # half of them have said so already, to a node that may die before it hands it on
            dying.kill()
            killed_at = time.monotonic()
            await crowd.load()
            await all_matched(crowd, killed_at, "loading")
            everybody_matched_once(redis, prefix, crowd.players, [server])

    asyncio.run(story())


@pytest.mark.parametrize("lease_seconds", [LEASE_SECONDS, 5], ids=["lease 1 s", "the default lease of 5 s"])
def test_kill_9_while_allocating(redis: RedisServer, prefix: str, nodes: Nodes, lease_seconds: float) -> None:
    """The calls to the dedicated server were under way, and had not arrived."""
    dying, staying = nodes.start(2, **SETTINGS | {"node_lease_seconds": lease_seconds})

    async def story() -> None:
        async with Crowd() as crowd, GameServer([staying], answer=hang) as server:
            await crowd_on(crowd, dying, staying)
            await server.called(4)
            dying.kill()
            killed_at = time.monotonic()
            server.answer = server.accept
            await all_matched(crowd, killed_at, f"allocating (lease {lease_seconds:g} s)", lease_seconds)
            everybody_matched_once(redis, prefix, crowd.players, [server])

    asyncio.run(story())


@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
def test_kill_9_when_allocated_and_not_confirmed(redis: RedisServer, prefix: str, nodes: Nodes, batch: bool) -> None:
    """The dedicated server made the session, and the node died before it could say so."""
    dying, staying = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, GameServer([staying], batch=batch) as server:

            async def make_and_hold_back(call: Call) -> Reply | None:
                await server.accept(call)
                return await hang(call)

            server.answer = make_and_hold_back
            await crowd_on(crowd, dying, staying)
            await server.called(1 if batch else 4)
            made = set(server.made)
            dying.kill()
            killed_at = time.monotonic()
            server.answer = server.accept
            await all_matched(crowd, killed_at, "allocated, not confirmed" + (" (batch)" if batch else ""))
            everybody_matched_once(redis, prefix, crowd.players, [server])
            found = {match.loading_session_id for player in crowd.players if (match := player.journey.match)}
            assert made <= found, "the sessions that were made were found, not given up"

    asyncio.run(story())


def test_players_of_a_dead_node_who_stay_away_are_dropped_after_the_grace(
    redis: RedisServer, prefix: str, nodes: Nodes
) -> None:
    """And whoever was in a match with them is put back and matched anew."""
    dying, staying = nodes.start(2, **SETTINGS | {"reconnect_grace_seconds": 0.5})

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer([staying]) as server:
            crowd.add(20, [dying.ws])
            await crowd.until_state(State.LOADING, State.QUEUED)
            lonely = crowd.add(21, [staying.ws], name="stays")
            await crowd.until_state(State.LOADING, State.QUEUED)
            crowd.may_come_back.clear()
            dying.kill()
            crowd.may_load = True
            gone = [player for player in crowd.players if player not in lonely]
            await crowd.until(lambda player: not player.client.connected, who=gone)
            await crowd.load()
            deadline = time.monotonic() + LEASE_SECONDS + 0.5 + 0.5 + 3
            while any(f"player:{p.player_id}" in nobody_is_in_two_places(redis, prefix) for p in gone):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            matched = [p for p in lonely if p.state is State.MATCHED]
            assert len(matched) == 20
            everybody_matched_once(redis, prefix, matched, [server])

    asyncio.run(story())
