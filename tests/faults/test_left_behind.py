"""450 players who come, go, drop and misbehave: a minute later nothing of them is left."""

import asyncio
import gc
import os
from functools import partial
from pathlib import Path
from typing import Any

from match_server.app import running_node
from match_server.config import Settings
from test_client.distributions import Distribution
from test_client.objectives import Limits, judge
from test_client.options import SwarmOptions
from test_client.summary import summarize
from test_client.swarm import Swarm
from tests.faults.conftest import Nodes
from tests.faults.hostile import descriptors, memory_mb
from tests.faults.measures import note
from tests.faults.outside import look
from tests.shared.crowd import MODE, seen
from tests.shared.game_server import GameServer
from tests.shared.invariants import OF_THE_POOL
from tests.shared.node import Node
from tests.shared.redis_server import RedisServer

PLAYERS = 450
SETTINGS: dict[str, Any] = {"reconnect_grace_seconds": 10, "loading_timeout_seconds": 4, "messages_per_second": 100}
MIX = {
    "normal": 4.0,
    "slow-loader": 1.0,
    "never-loads": 1.0,
    "quits-in-queue": 1.0,
    "quits-while-loading": 1.0,
    "drops-link": 2.0,
    "sends-rubbish": 1.0,
    "enqueues-twice": 1.0,
    "wrong-session-id": 1.0,
}
# Keys with an owner: a node or a server that lives, or the pool itself. All others must end by themselves.
OWNED = OF_THE_POOL | {"servers", "servers:free", "servers:open:* "}


async def a_storm(urls: list[str], seed: int) -> None:
    """Everybody gets what its behaviour deserves."""
    options = SwarmOptions(
        urls=tuple(urls),
        players=PLAYERS,
        game_mode=MODE,
        mix=MIX,
        seed=seed,
        rate=300,
        loading=Distribution("fixed", (0.05,)),
        deadline_seconds=20,
        player_prefix=f"storm{seed}",
    )
    swarm = Swarm(options)
    await swarm.run()
    summary = summarize(swarm)
    missed = [f"{each.name}: {each.actual}" for each in judge(summary, Limits()) if not each.met]
    assert missed == [], (summary.violations[:5], summary.unexpected[:5])


async def nothing_is_left(redis: RedisServer, prefix: str, server: GameServer) -> None:
    """No ghost and no subscription at once; no key without an owner when the records have expired."""
    await seen(lambda: all(":node:" in f":{name.removeprefix(prefix)}" for name in redis.channels()))
    for made in list(server.live):
        await server.end_session(made)
    redis.do("HINCRBY", f"{prefix}clock", "stopped_us", -60_000_000)  # a minute later, by the pool's clock
    contents = await settled(redis, prefix)
    ghosts = [key for key in contents if key.startswith(("queue:", "waiting:", "held", "loading:", "node_players:"))]
    assert ghosts == []
    assert [key for key in contents if key.startswith("sessions:")] == []
    assert {value["state"] for key, value in contents.items() if key.startswith("player:")} <= {"matched"}
    without_end = {key for key in contents if redis.do("TTL", prefix + key) == -1}
    assert without_end <= OWNED | {f"server:{server.server_id}"}, without_end


async def settled(redis: RedisServer, prefix: str) -> dict[str, Any]:
    """What is there two sweeps later."""
    for _ in range(2):
        await seen(partial(swept_after, redis, prefix, redis.do("HGET", f"{prefix}clock", "swept_us")))
    return look(redis, prefix)


def swept_after(redis: RedisServer, prefix: str, before: str) -> bool:
    return bool(redis.do("HGET", f"{prefix}clock", "swept_us") != before)


def few_descriptors(node: Node, at_most: int) -> bool:
    return descriptors(node) <= at_most


def test_450_players_leave_nothing_behind_in_redis_nor_in_the_nodes(
    redis: RedisServer, prefix: str, nodes: Nodes
) -> None:
    running = nodes.start(2, server_lease_seconds=600, **SETTINGS)

    async def story() -> None:
        async with GameServer(running) as server:
            urls = [node.ws for node in running]
            await a_storm(urls, seed=1)  # warms up pools and caches
            await nothing_is_left(redis, prefix, server)
            before = [(memory_mb(node), descriptors(node), clients(redis)) for node in running]
            await a_storm(urls, seed=2)
            await nothing_is_left(redis, prefix, server)
            for node, (memory, files, connections) in zip(running, before, strict=True):
                note("450 players have come and gone: growth", memory_mb(node) - memory, "MB")
                assert memory_mb(node) - memory < 5
                await seen(partial(few_descriptors, node, files + 2))
                assert clients(redis) <= connections + 2

    asyncio.run(story())


def clients(redis: RedisServer) -> int:
    return int(redis.do("INFO", "clients")["connected_clients"])


def test_450_players_leave_no_task_behind(redis: RedisServer, prefix: str, tmp_path: Path) -> None:
    """One node inside this process, whose tasks can be counted."""
    os.chdir(tmp_path)

    async def story() -> None:
        settings = Settings(port=0, redis_url=redis.url, key_prefix=prefix, game_modes=f"{MODE}:2", **SETTINGS)
        async with running_node(settings) as started:
            base = f"127.0.0.1:{started.port}"
            node = Node(tmp_path, redis.url, prefix)
            node.base = f"http://{base}"
            async with GameServer([node]) as server:
                before = len(asyncio.all_tasks())
                await a_storm([f"ws://{base}/ws/"], seed=3)
                await nothing_is_left(redis, prefix, server)
                await seen(lambda: len(asyncio.all_tasks()) <= before + 1)

    try:
        asyncio.run(story())
    finally:
        gc.unfreeze()
