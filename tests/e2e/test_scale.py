"""Two nodes, one Redis, three dedicated servers, and a crowd."""

import asyncio
import collections
from contextlib import AsyncExitStack
from pathlib import Path

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node
from tests.shared.player import Frame, player_on

PLAYERS = 2000


def test_2000_players_over_two_nodes_get_1000_sessions_and_nobody_two(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    everybody_connected = asyncio.Barrier(PLAYERS)
    doors = asyncio.Semaphore(100)

    async def walk(node: Node, player_id: str) -> list[Frame]:
        async with AsyncExitStack() as stack:
            async with doors:
                player = await stack.enter_async_context(player_on(node, player_id, open_timeout=30))
            await everybody_connected.wait()
            await player.enqueue()
            await player.expect("queued", within_seconds=30)
            start = await player.expect("start_loading", within_seconds=30)
            await player.loaded(start["loading_session_id"])
            await player.expect("match_found", within_seconds=30, loading_session_id=start["loading_session_id"])
            await everybody_connected.wait()  # nobody leaves before everybody has a match
            await player.nothing()
            return player.frames

    async def crowd(nodes: list[Node]) -> None:
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(FakeServer(nodes[n % 2], capacity=1000, batch=n > 0)) for n in range(3)
            ]
            players = {f"player-{n}": nodes[n % 2] for n in range(PLAYERS)}
            fates = await asyncio.gather(*(walk(node, player_id) for player_id, node in players.items()))

            told = collections.defaultdict(set)
            for player_id, frames in zip(players, fates, strict=True):
                kinds = [frame["type"] for frame in frames]
                assert kinds == ["queued", "start_loading", "match_found"]
                found = frames[2]
                told[found["session_id"], found["server_address"]].add(player_id)
                assert player_id in found["players"]
            assert len(told) == PLAYERS // 2
            assert all(len(pair) == 2 for pair in told.values())

            logged = {}
            for server in servers:
                for call in server.calls:
                    for item in call.body.get("sessions", [call.body]):
                        assert (item["session_id"], server.address) not in logged, "asked twice"
                        logged[item["session_id"], server.address] = set(item["players"])
            assert logged == dict(told), "the servers were told of exactly these sessions"
            counts = [len(server.live) for server in servers]
            assert min(counts) > 0, f"a server was left out: {counts}"
            for server in servers:
                assert server.row()["active"] == len(server.live)
                assert server.row()["reserved"] == 0
            assert not nodes[0].keys("queue:*")
            assert not nodes[0].keys("loading:*")

    with Node(tmp_path, redis_url, prefix) as one, Node(tmp_path, redis_url, prefix) as two:
        asyncio.run(crowd([one, two]))
