"""2,000 players over three nodes, one of which is killed at a random moment, three times over: 0 lost, 0 double."""

import asyncio
import time
from random import Random

import pytest

from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once
from tests.shared.crowd import Crowd
from tests.shared.game_server import GameServer
from tests.shared.redis_server import RedisServer

PLAYERS = 2000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_2000_players_over_three_nodes_one_killed_at_a_random_moment(
    redis: RedisServer, prefix: str, nodes: Nodes, seed: int
) -> None:
    running = nodes.start(3, node_lease_seconds=1, reconnect_grace_seconds=20)
    rng = Random(seed)  # noqa: S311 - repeatable, no secret

    async def story() -> None:
        async with Crowd() as crowd, GameServer(running, batch=True) as server:
            for number in range(PLAYERS // 20):
                first = number % 3
                crowd.add(20, [node.ws for node in (running[first:] + running[:first])])
            arrived = int(PLAYERS * rng.uniform(0.05, 0.95))
            await crowd.until(
                lambda _: sum(p.journey.times.enqueued is not None for p in crowd.players) >= arrived,
                who=crowd.players[:1],
                within_seconds=30,
            )
            rng.choice(running).kill()
            killed_at = time.monotonic()
            await crowd.until_state(State.MATCHED, within_seconds=40)
            took = time.monotonic() - killed_at
            note(f"2,000 players, a node killed after {arrived} had come: all matched", took, "s")
            everybody_matched_once(redis, prefix, crowd.players, [server])
            assert len(server.made) == PLAYERS // 2

    asyncio.run(story())
