"""A Redis Cluster loses a primary, and moves the pool's slot, under players at every stage."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from match_server.protocol import Error, MatchFound
from test_client.states import State
from tests.faults import failover
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.game_server import GameServer
from tests.shared.redis_cluster import PREFIX, RedisCluster

BATCH, BATCHES = 20, 25
BATCH_SECONDS = 0.1


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    """Six servers of this test's own."""
    with RedisCluster(tmp_path) as running:
        yield running


@pytest.fixture
def redis(cluster: RedisCluster) -> RedisCluster:
    """What the test's nodes run on."""
    return cluster


@pytest.fixture
def prefix() -> str:
    """The one whose slot the cluster knows."""
    return PREFIX


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_the_primary_of_the_slot_is_lost_with_200_players_at_every_stage(
    cluster: RedisCluster, prefix: str, nodes: Nodes, tmp_path: Path, how: str
) -> None:
    running = nodes.start(2, config=failover.write_modes(tmp_path), **failover.SETTINGS)

    def fail_over() -> float:
        old = cluster.primary
        if how == "killed":
            old.kill()
            return cluster.wait_for_failover(old)
        old.pause()
        over_at = cluster.wait_for_failover(old)
        old.go_on()
        return over_at

    asyncio.run(failover.go_through(cluster, prefix, running, fail_over, name=f"Cluster, primary {how}"))


@pytest.mark.parametrize("move", [RedisCluster.move_slot_at_once, RedisCluster.move_slot_key_by_key])
def test_the_slot_of_the_pool_moves_under_load(
    cluster: RedisCluster, prefix: str, nodes: Nodes, move: Callable[[RedisCluster], float]
) -> None:
    running = nodes.start(2, game_modes=f"{MODE}:2", node_lease_seconds=1)

    async def story() -> None:
        async with Crowd() as crowd, GameServer(running, batch=True) as server:
            moving: asyncio.Task[float] | None = None
            for number in range(BATCHES):
                crowd.add(BATCH, [running[number % 2].ws])
                if number == BATCHES // 3:
                    moving = asyncio.create_task(asyncio.to_thread(move, cluster))
                await asyncio.sleep(BATCH_SECONDS)  # the load's rate, not a wait for anything
            assert moving
            note(f"Cluster, {move.__name__} under load", await moving, "s")
            await crowd.until_state(State.MATCHED)
            everybody_matched_once(cluster, prefix, crowd.players, [server])
            assert [(p.player_id, p.closes) for p in crowd.players if p.journey.links_lost] == []
            assert [(p.player_id, p.told) for p in crowd.players if p.was_told(Error)] == []
            assert {p.was_told(MatchFound) for p in crowd.players} == {1}
            await seen(lambda: all(node.http.get("/readyz").status_code == 200 for node in running))

    asyncio.run(story())
