"""A mode's own timeouts hold instead of the node's, where rules form the matches and where they are drawn at random."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import Player, player_on, players_on, queue_all
from tests.shared.prefix import fresh_prefix

LONG: dict[str, Any] = {
    "loading_timeout_seconds": 600,
    "allocation_wait_seconds": 600,
    "reconnect_grace_seconds": 600,
    "queue_timeout_seconds": 600,
}
OWN = "loading_timeout_seconds = 0.6, allocation_wait_seconds = 0.4, reconnect_grace_seconds = 0.1"
MODES = f"""
[game_modes]
random = {{ players = 2, {OWN} }}
ruled = {{ players = 2, rules = [], {OWN} }}
random_short = {{ players = 2, queue_timeout_seconds = 0.3 }}
ruled_short = {{ players = 2, rules = [], queue_timeout_seconds = 0.3 }}
patient = {{ players = 2, queue_timeout_seconds = 0 }}
"""
BOTH = pytest.mark.parametrize("mode", ["random", "ruled"])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("timeouts")
    (folder / "modes.toml").write_text(MODES)
    with Node(folder, redis_url, fresh_prefix(), config=folder / "modes.toml", **LONG) as started:
        yield started


@BOTH
def test_who_loads_too_long_for_its_mode_leaves(node: Node, mode: str) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "quick", "slow") as (quick, slow):
            await queue_all([quick, slow], mode)
            start = await quick.expect("start_loading", timeout_seconds=0.6)
            await quick.loaded(start["loading_session_id"])
            await slow.expect("start_loading")
            await slow.expect("dequeued", reason="loading_timeout")
            await quick.expect("match_cancelled", reason="loading_timeout")

    asyncio.run(journey())


@BOTH
def test_a_match_waits_for_a_slot_as_long_as_its_mode_says(node: Node, mode: str) -> None:
    async def journey() -> None:
        async with players_on(node, "one", "other") as players:
            async with FakeServer(node):
                await queue_all(players, mode)
                starts = [await player.expect("start_loading") for player in players]
            for player, start in zip(players, starts, strict=True):  # the server has left
                await player.loaded(start["loading_session_id"])
            for player in players:
                await player.expect("match_cancelled", reason="allocation_failed")

    asyncio.run(journey())


@BOTH
def test_a_lost_player_keeps_its_place_as_long_as_its_mode_says(node: Node, mode: str) -> None:
    async def journey() -> str:
        async with player_on(node) as player:
            await player.queue(mode)
            await player.drop()
            return player.player_id

    player_id = asyncio.run(journey())
    eventually(lambda: not node.state_of(player_id))


@pytest.mark.parametrize("mode", ["random_short", "ruled_short"])
def test_who_waits_too_long_for_its_mode_leaves(node: Node, mode: str) -> None:
    async def journey() -> None:
        async with players_on(node, "short", "patient") as (short, patient):
            await patient.queue("patient")
            await short.queue(mode)
            await short.expect("dequeued", reason="queue_timeout")
            await _still_waits(patient)

    async def _still_waits(player: Player) -> None:
        await player.nothing()
        assert node.state_of(player.player_id) == "queued"

    asyncio.run(journey())
