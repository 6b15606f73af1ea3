"""Two pools on one Redis, in different databases: pub/sub knows none, so the names of channels keep them apart."""

import asyncio
from pathlib import Path

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node
from tests.shared.player import player_on


def test_the_same_player_in_two_databases_hears_only_of_its_own_match(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    async def story(zero: Node, one: Node) -> None:
        async with player_on(zero, "ann") as other, player_on(one, "ann") as ann, player_on(one, "bob") as bob:
            await other.queue()
            await ann.queue()
            await bob.queue()
            async with FakeServer(one):
                for player in (ann, bob):
                    await player.load()
                for player in (ann, bob):
                    await player.expect("match_found")
            await other.silent()
            assert zero.state_of("ann") == "queued"
            channels = [name for name in zero.redis.pubsub_channels() if prefix in name]
            assert {name.partition(prefix)[0] for name in channels} == {"", "db1:"}

    with Node(tmp_path, redis_url, prefix) as zero, Node(tmp_path, f"{redis_url}?db=1", prefix) as one:
        asyncio.run(story(zero, one))
