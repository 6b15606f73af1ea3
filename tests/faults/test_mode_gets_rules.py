"""Nodes are replaced by nodes with another configuration, under waiting players."""

import asyncio
from pathlib import Path

from tests.faults.conftest import Nodes
from tests.shared.fake_server import FakeServer
from tests.shared.player import fresh_id, player_on

MODES = """
[attributes]
rating = { type = "number", default = 1500 }

[game_modes.duel]
players = 2
rules = [{ kind = "difference", attribute = "rating", max = 50 }]
"""


def test_a_mode_gets_rules_while_players_wait_in_it(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(MODES)
    (old,) = nodes.start(1, game_modes="duel:2")

    async def story() -> None:
        async with player_on(old, fresh_id()) as ann, player_on(old, fresh_id()) as bob:
            tokens = [(await player.queue("duel"))["resume_token"] for player in (ann, bob)]
            (new,) = nodes.start(1, config=tmp_path / "modes.toml")
            await asyncio.to_thread(old.stop)
            async with player_on(new, ann.player_id) as one, player_on(new, bob.player_id) as other, FakeServer(new):
                for player, token in zip((one, other), tokens, strict=True):
                    await player.resume(token)
                    await player.expect("resumed", state="queued")
                    await player.expect("queued")
                starts = [await player.expect("start_loading") for player in (one, other)]
                assert {len(start["rules_version"]) for start in starts} == {12}

    asyncio.run(story())
