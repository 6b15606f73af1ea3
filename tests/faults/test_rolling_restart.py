"""Ten nodes are replaced one after the other, while players come, play and go."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from statistics import quantiles

from match_server.protocol import MatchFound
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once
from tests.shared.crowd import Crowd
from tests.shared.fake_server import Call, Reply
from tests.shared.game_server import GameServer
from tests.shared.node import Node
from tests.shared.redis_server import RedisServer
from tests.shared.tcp_redis import free_ports

NODES = 10
BATCH = 20  # players
BATCH_SECONDS = 0.4  # so 25 matches are made a second: players, nodes and the dedicated server share the machine
PLACING_SECONDS = 0.5  # what a dedicated server takes, so that players of every stage meet each restart
RESUMED_WITHIN_SECONDS = 3.0


def replace_one_after_the_other(nodes: Nodes, running: Sequence[Node]) -> None:
    """What docs/operations.md prescribes: SIGTERM, wait for the exit, start, wait for /readyz, go on."""
    for node in running:
        assert node.stop() == 0, node.log
        nodes.start(1, port=node.port)


def test_ten_nodes_are_replaced_under_load(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    running = [nodes.start(1, port=port)[0] for port in free_ports(NODES)]
    urls = [node.ws for node in running]

    async def story() -> None:
        async with Crowd(stay=False) as crowd, GameServer(running, batch=True, capacity=100_000) as server:

            async def take_a_while(call: Call) -> Reply | None:
                await asyncio.sleep(PLACING_SECONDS)
                return await server.accept(call)

            server.answer = take_a_while
            began_at = time.monotonic()
            replacing = asyncio.create_task(asyncio.to_thread(replace_one_after_the_other, nodes, running))
            for number in count():
                if replacing.done():
                    break
                first = number % NODES
                crowd.add(BATCH, urls[first:] + urls[:first])
                await asyncio.sleep(BATCH_SECONDS)  # the load's rate, not a wait for anything
            await replacing
            note("Rolling restart of ten nodes", time.monotonic() - began_at, "s")
            await crowd.until(lambda player: player.journey.match is not None)
            everybody_matched_once(redis, prefix, crowd.players, [server])
            assert {player.was_told(MatchFound) for player in crowd.players} == {1}
            assert len(server.made) == len(crowd.players) // 2
            moved = [player for player in crowd.players if player.journey.links_lost]
            assert {code for player in moved for code in player.closes} <= {1012}
            waits = [(p.journey.times.match_found or 0) - (p.journey.times.enqueued or 0) for p in moved]
            assert len(moved) > 1, "or nothing was tried"
            p99 = quantiles(waits, n=100)[98]
            note("Rolling restart: players", len(crowd.players), "")
            note("Rolling restart: players who had to resume", len(moved), "")
            note("Rolling restart: p99 of time to match of those who had to resume", p99, "s")
            assert p99 < RESUMED_WITHIN_SECONDS

    asyncio.run(story())
