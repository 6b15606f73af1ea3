"""A Redis Cluster loses a primary, and moves the pool's slot, under players at every stage."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.load.generator import Generator
from benchmarks.load.schedule import even_arrivals
from match_server.protocol import Error, MatchFound
from test_client.states import State
from tests.faults import failover
from tests.faults.conftest import Nodes
from tests.faults.measures import matches_per_second, note
from tests.faults.outside import everybody_matched_once, nobody_is_in_two_places
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.game_server import GameServer
from tests.shared.redis_cluster import PREFIX, RedisCluster

BATCH, BATCHES = 20, 25
BATCH_SECONDS = 0.1
RATE, SECONDS = 100.0, 8.0  # matches a second of players who cost little


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


@pytest.mark.parametrize("how", ["in one step", "key by key"])
def test_the_slot_of_the_pool_moves_while_matches_are_made_at_a_rate(
    cluster: RedisCluster, prefix: str, nodes: Nodes, tmp_path: Path, how: str
) -> None:
    """Open loop: players come when they are due, and do not repeat what they are told an error for."""
    running = nodes.start(2, game_modes=f"{MODE}:2")
    rate = matches_per_second(RATE)
    at = even_arrivals(per_second=2 * rate, count=int(2 * rate * SECONDS))

    async def story(load: Generator) -> None:
        async with GameServer(running, batch=True, capacity=len(at)) as server:
            await asyncio.to_thread(load.connect, [node.ws.split("/")[2] for node in running], len(at), MODE)
            playing = asyncio.create_task(
                asyncio.to_thread(load.run, len(at), "match_found", deadline_seconds=SECONDS + 30, at=at)
            )
            await seen(lambda: len(server.made) > len(at) / 8, within_seconds=30)
            if how == "in one step":
                took = await asyncio.to_thread(cluster.move_slot_at_once)
            else:
                took = await asyncio.to_thread(cluster.move_slot_key_by_key, pause_seconds=0)
            assert not playing.done(), "or it moved after the load"
            left = await playing
            told = await asyncio.to_thread(load.ask, "journeys")
        assert (left, told["errors"]) == (0, 0)
        sessions = defaultdict(list)
        for *_, session in told["journeys"]:
            sessions[session].append(session)
        assert {len(players) for players in sessions.values()} == {2}
        assert len(server.made) == len(sessions) == len(at) // 2
        nobody_is_in_two_places(cluster, prefix)
        last = max(found for *_, found, _ in told["journeys"]) / 1e6
        note(f"Cluster, slot moved {how}, {rate:g} matches a second wanted", len(sessions) / last, "made a second")
        note(f"Cluster, slot moved {how}", took, "s")

    with Generator("load", tmp_path, frozenset()) as load:
        asyncio.run(story(load))
