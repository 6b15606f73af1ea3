"""The proposers of a node: one for each mode whose matches are formed by rules."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from match_server.actors.core import ActorSystem, Supervision
from match_server.actors.pool_rules import RulesPublisher
from match_server.config import Settings
from match_server.events.node import Events
from match_server.matching.game_modes import GameModes
from match_server.store.scripts import ScriptRunner
from match_server.store.tickets import TicketStore

if TYPE_CHECKING:
    from match_server.actors.proposer import ProposerPort


class Proposers:
    """Starts them, those of modes that a reload brings too."""

    def __init__(
        self, settings: Settings, events: Events, runner: ScriptRunner, modes: GameModes, *, node: str
    ) -> None:
        self._settings = settings
        self._events = events
        self._modes = modes
        self._node = node
        self._store = TicketStore(runner, node=node)
        self.rules = RulesPublisher(self._store, modes, events)
        self._ports: dict[str, ProposerPort] = {}

    @property
    def ports(self) -> Mapping[str, "ProposerPort"]:
        """How each is reached, by its mode."""
        return self._ports

    def changed(self, game_mode: str) -> None:
        """Players have come or gone in a mode."""
        if port := self._ports.get(game_mode):
            port.changed()

    def start(self, system: ActorSystem, *, phase: int, supervision: Supervision) -> None:
        """Start those that do not run yet."""
        missing = [mode for mode in self._modes.open if mode.by_rules and mode.name not in self._ports]
        if not missing:
            return
        from match_server.actors import proposer  # noqa: PLC0415 - a node without such modes does not load numpy

        for mode in missing:
            self._ports[mode.name] = proposer.start(
                system,
                phase=phase,
                supervision=supervision,
                game_mode=mode.name,
                modes=self._modes,
                store=self._store,
                rules=self.rules,
                node=self._node,
                clock=asyncio.get_running_loop().time,
                tick_seconds=self._settings.tick_seconds,
                events=self._events,
            )
