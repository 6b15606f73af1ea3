"""What a node finds out of the pool's game modes."""

import asyncio
from collections.abc import Mapping
from typing import Any

from match_server.actors.pool_rules import RulesPublisher
from match_server.events.node import RulesCompared
from match_server.matching.game_modes import Deadlines, GameModes
from match_server.matching.modes import GameMode
from match_server.store.tickets import PoolRules
from tests.shared.recorder import Recorder


class OthersHold:
    """A store in which the modes of another node hold."""

    async def publish_rules(self, _revision: int, versions: Mapping[str, str], **_: Any) -> PoolRules:
        return PoolRules(7, dict.fromkeys(versions, "of another size"))


def test_a_mode_that_differed_and_was_removed_differs_no_more() -> None:
    modes = GameModes([GameMode("duel", 2), GameMode("trio", 3)], revision=1, defaults=Deadlines(1, 1, 1, 1))
    events = Recorder()
    rules = RulesPublisher(OthersHold(), modes, events)  # type: ignore[arg-type]  # the part that it uses

    asyncio.run(rules.look())
    assert rules.differing == {"duel", "trio"}
    modes.replace([modes["duel"]], revision=1)
    asyncio.run(rules.look())

    assert rules.differing == {"duel"}
    told = [event for event in events.of(RulesCompared) if event.game_mode == "trio"]
    assert [event.differ for event in told] == [True, False]
