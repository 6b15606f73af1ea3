"""Says in the log why players wait though there are enough of them: no dedicated server has room, or there is none."""

from collections.abc import Callable

import structlog

from match_server.actors.core import ActorSystem
from match_server.errors import StoreUnavailable
from match_server.events.node import SlotLacking
from match_server.matching.game_modes import GameModes
from match_server.store.blocked_by import blocked_by
from match_server.store.operators import OperatorStore
from match_server.store.registry import RegistryStore

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 60.0
_LOOK_SECONDS = 1.0  # between two looks at a queue that seemed to be blocked, and was not


class BlockedQueues:
    """One line of one node for each game mode at once, then each minute for as long as it lasts."""

    def __init__(
        self,
        system: ActorSystem,
        *,
        store: OperatorStore,
        registry: RegistryStore,
        modes: GameModes,
        clock: Callable[[], float],
    ) -> None:
        """`system` owns the looks; `clock` is the event loop's time."""
        self._system = system
        self._store = store
        self._registry = registry
        self._modes = modes
        self._clock = clock
        self._not_before: dict[str, float] = {}  # by game mode: when it is looked at again

    def lacks_slot(self, event: SlotLacking) -> None:
        """Look at the queue, where that is due."""
        if self._clock() >= self._not_before.get(event.game_mode, 0):
            self._not_before[event.game_mode] = self._clock() + _LOOK_SECONDS
            self._system.own(self._look(event.game_mode, event.region), name="blocked-queue")

    async def _look(self, game_mode: str, region: str) -> None:
        try:
            (status,) = await self._store.queues([game_mode])
            regions = [region] if region else []
            reason = await blocked_by(self._modes[game_mode], status, self._registry, regions)
            if reason not in {"no_free_slot", "no_server_for_mode"}:
                return
            left_us = await self._store.note_blocked(game_mode, period_us=int(_AGAIN_SECONDS * 1_000_000))
        except StoreUnavailable:
            return
        self._not_before[game_mode] = self._clock() + (left_us / 1_000_000 or _AGAIN_SECONDS)
        if not left_us:
            log.warning(
                "queue_blocked",
                game_mode=game_mode,
                blocked_by=reason,
                **({"region": region} if region else {}),
                waiting=status.waiting,
                oldest_wait_seconds=status.oldest_wait_seconds,
            )
