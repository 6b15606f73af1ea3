"""Notices that nodes of one pool have different game modes, and which of this node's are not the pool's."""

import asyncio
from contextlib import suppress

from match_server.actors.pool_rules import RulesPublisher
from match_server.errors import StoreUnavailable
from match_server.events.node import Events, ModesCompared, RulesRefused
from match_server.matching.game_modes import GameModes
from match_server.store.operators import OperatorStore


class ModesWatch:
    """Compares this node's game modes with what the others publish of theirs (`modes_hash` in `GET /nodes`)."""

    def __init__(
        self,
        store: OperatorStore,
        modes: GameModes,
        rules: RulesPublisher,
        *,
        node: str,
        period_seconds: float,
        events: Events,
    ) -> None:
        """`node` is this node's id."""
        self._store = store
        self._modes = modes
        self._rules = rules
        self._node = node
        self._period_seconds = period_seconds
        self._events = events
        self._differing: list[str] = []
        self._soon = asyncio.Event()

    async def run(self) -> None:
        """Look again and again; while Redis is away nothing is known to have changed."""
        while True:
            with suppress(StoreUnavailable):
                await self._rules.look()
                await self._look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._period_seconds)
            self._soon.clear()

    def look_soon(self) -> None:
        """This node's modes, or the pool's, have changed."""
        self._soon.set()

    def rules_refused(self, event: RulesRefused) -> None:
        """Look soon, unless it is known that the mode differs."""
        if event.game_mode not in self._rules.differing:
            self.look_soon()

    async def _look(self) -> None:
        own = self._modes.modes_hash
        others = [status for status in await self._store.nodes() if status.node != self._node]
        at_work = [other for other in others if other.lease_seconds_left > 0 and other.said.get("state") == "ready"]
        before = self._differing
        self._differing = [other.node for other in at_work if other.said.get("modes_hash") != own]
        if self._differing != before:
            self._events.record(ModesCompared(self._differing, own))

    def warnings(self) -> list[str]:
        """What is wrong, for `/readyz`."""
        if not self._differing:
            return []
        nodes = ", ".join(self._differing)
        return [f"the game modes of this node are not those of {nodes}; GET /nodes has a hash of each"]
