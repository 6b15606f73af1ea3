"""Players wait and no dedicated server has room: one node of the pool says so, and of which region."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import LoggingNode, Node, eventually
from tests.shared.player import players_on, queue_all
from tests.shared.prefix import fresh_prefix

MODES = """
[attributes]
latency = { type = "latencies" }
[game_modes]
Random = 2
[game_modes.near]
players = 2
rules = [{ kind = "latency", attribute = "latency", max = 60 }]
"""


@pytest.fixture
def modes(tmp_path: Path) -> Path:
    file = tmp_path / "modes.toml"
    file.write_text(MODES)
    return file


def test_one_node_says_that_a_queue_is_blocked(tmp_path: Path, redis_url: str, modes: Path) -> None:
    """Both look: each at its own players' enqueues, and at the ticks that it is given."""
    prefix = fresh_prefix()
    with (
        LoggingNode(tmp_path, redis_url, prefix, config=modes) as one,
        LoggingNode(tmp_path, redis_url, prefix, config=modes) as two,
    ):

        async def journey() -> None:
            async with players_on(one, *"abc") as here, players_on(two, *"def") as there:
                for player in [*here, *there]:
                    await player.queue("Random")
                await asyncio.to_thread(eventually, lambda: said(one) + said(two))
                for player in [*here, *there]:  # each node tries again
                    await player.send("dequeue")
                    await player.expect("dequeued")
                    await player.queue("Random")
                await here[0].nothing(for_seconds=1.5)  # longer than a node waits until it looks again

        asyncio.run(journey())
        assert len(said(one) + said(two)) == 1, "of each minute"


def test_a_player_of_a_random_mode_hears_that_no_server_has_room(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "ann", "bob") as players:
            await queue_all(players)
            explanation = node.get(f"/players/{players[0].player_id}/explanation")
            assert explanation == {"stage": "no_slots", "waiting": 2}
            await players[1].send("status")
            assert (await players[1].expect("status"))["explanation"]["stage"] == "no_slots"

    asyncio.run(journey())


def said(node: LoggingNode) -> list[dict[str, Any]]:
    return node.lines("queue_blocked")


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ({"region": "us", "capacity": 5}, "no_server_for_mode"),
        ({"region": "eu", "capacity": 1, "active_sessions": ["busy"]}, "no_free_slot"),
    ],
    ids=["none there", "full"],
)
def test_slots_of_another_region_are_none_for_who_does_not_reach_it(
    tmp_path: Path, redis_url: str, modes: Path, server: dict[str, Any], reason: str
) -> None:
    async def journey(node: LoggingNode) -> None:
        async with FakeServer(node, **server), FakeServer(node, region="us"), players_on(node, *"ab") as players:
            for player in players:
                fields = {"player_id": player.player_id, "game_mode": "near", "attributes": {"latency": {"eu": 20}}}
                await player.send("enqueue", **fields)
                await player.expect("queued")
            line = await asyncio.to_thread(node.wait_for_line, "queue_blocked")
            assert (line["game_mode"], line["blocked_by"], line["region"]) == ("near", reason, "eu")

            def shown() -> bool:
                queue = node.queue("near")
                return (queue["blocked_by"], queue["regions_without_slot"]) == (reason, ["eu"])

            await asyncio.to_thread(eventually, shown)

    with LoggingNode(tmp_path, redis_url, fresh_prefix(), config=modes) as node:
        asyncio.run(journey(node))
