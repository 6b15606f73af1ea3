"""Two nodes of one pool have a random mode in different sizes: that of the highest revision holds in the whole pool."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, Player, fresh_id, players_on
from tests.shared.prefix import fresh_prefix

GAUGE = f'match_rules_differ{{game_mode="{MODE}"}}'


class SizedNode(Node):
    """A node with a file of its own that gives the mode a size."""

    def __init__(self, folder: Path, redis_url: str, prefix: str, *, size: int, revision: int = 0) -> None:
        self.file = folder / f"{fresh_id('modes')}.toml"
        self.write(size, revision)
        super().__init__(folder, redis_url, prefix, config=self.file, node_lease_seconds=1)

    def write(self, size: int, revision: int) -> None:
        self.file.write_text(f"revision = {revision}\n[game_modes]\n{MODE} = {size}\n")

    def reload(self, size: int, revision: int) -> None:
        self.write(size, revision)
        self.send_signal(signal.SIGHUP)

    @property
    def warned(self) -> bool:
        return any(warning.startswith(f"{MODE}: ") for warning in self.get("/readyz")["warnings"])

    def differs(self, *, differ: bool) -> None:
        """Wait until it knows whether its size is the pool's."""
        eventually(lambda: f"{GAUGE} {float(differ)}" in self.http.get("/metrics").text and self.warned == differ)


@pytest.fixture
def two(tmp_path: Path, redis_url: str) -> Iterator[tuple[SizedNode, SizedNode]]:
    prefix = fresh_prefix()
    with (
        SizedNode(tmp_path, redis_url, prefix, size=3, revision=2) as three,
        SizedNode(tmp_path, redis_url, prefix, size=2, revision=1) as pairs,
    ):
        three.differs(differ=False)
        pairs.differs(differ=True)
        yield three, pairs


async def matched(players: list[Player]) -> set[tuple[str, ...]]:
    return {tuple(sorted((await player.expect("start_loading"))["players"])) for player in players}


def test_a_node_with_another_size_serves_its_players_and_forms_nothing(two: tuple[SizedNode, SizedNode]) -> None:
    three, pairs = two

    async def journey() -> None:
        async with FakeServer(three), players_on(pairs, *"abc") as players:
            for player in players:
                await player.queue()  # two of them would be a match of this node's size
            assert await matched(players) == {tuple(sorted(player.player_id for player in players))}

    asyncio.run(journey())


def test_a_slot_that_is_freed_is_found_though_a_node_with_another_size_looks_too(
    two: tuple[SizedNode, SizedNode],
) -> None:
    """Only a tick finds it, and each is given to one node: to one that forms the mode's matches."""
    three, pairs = two

    async def journey() -> None:
        async with players_on(pairs, *"abcd") as players:
            for player in players:
                await player.queue()
            await asyncio.to_thread(eventually, lambda: three.queue(MODE)["waiting"] == 4)
            async with FakeServer(pairs):
                starts = [asyncio.create_task(player.expect("start_loading")) for player in players]
                done, left = await asyncio.wait(starts, return_when=asyncio.FIRST_COMPLETED)
                assert {len(task.result()["players"]) for task in done} == {3}
                for task in left:
                    task.cancel()

    asyncio.run(journey())


def test_a_reload_with_a_higher_revision_changes_the_size_under_players_who_wait(
    two: tuple[SizedNode, SizedNode],
) -> None:
    three, pairs = two

    async def journey() -> None:
        async with FakeServer(three), players_on(three, *"ab") as players:
            for player in players:
                await player.queue()
            await players[0].nothing(for_seconds=0.3)  # a few ticks of either node
            await asyncio.to_thread(pairs.reload, 2, 3)
            assert await matched(players) == {tuple(sorted(player.player_id for player in players))}

    asyncio.run(journey())
    pairs.differs(differ=False)
    three.differs(differ=True)
    three.reload(2, 3)
    three.differs(differ=False)


def test_an_emptied_redis_gets_the_highest_revision_again(two: tuple[SizedNode, SizedNode]) -> None:
    three, pairs = two
    three.redis.delete(f"{three.prefix}rules")
    eventually(lambda: three.redis.hget(f"{three.prefix}rules", "#revision") == "2")
    three.differs(differ=False)
    pairs.differs(differ=True)
