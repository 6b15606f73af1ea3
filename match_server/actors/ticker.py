"""The ticker: one per node. Has the matchmakers look again where somebody waits.

Most matches form with the enqueue that fills them. A tick finds what no enqueue announces: a slot that was freed, a
pause that ended, a player that another node put back. Redis says in one call which modes want one, and gives each of
them to one node.
"""

from collections.abc import Mapping, Sequence, Set

import structlog

from match_server.actors.core import Actor, Ref
from match_server.actors.matchmaker import TICK, MatchmakerMessage
from match_server.errors import ActorStopped, MailboxFull, StoreUnavailable
from match_server.store.upkeep import UpkeepStore

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 4


class _Look:
    __slots__ = ()


class Ticker(Actor[_Look]):
    """Asks once per period, however many game modes there are."""

    def __init__(
        self,
        *,
        upkeep: UpkeepStore,
        matchmakers: Mapping[str, Ref[MatchmakerMessage]],
        differing: Set[str],
        tick_seconds: float,
    ) -> None:
        """`differing` are the modes of which this node forms no match now: their ticks are left to other nodes."""
        self._upkeep = upkeep
        self._matchmakers = matchmakers
        self._differing = differing
        self._unknown: set[str] = set()  # modes of other nodes
        self._tick_seconds = tick_seconds

    async def started(self) -> None:
        """Tick from now on."""
        self.every(self._tick_seconds, _Look)

    async def receive(self, batch: Sequence[_Look]) -> None:  # noqa: ARG002 - one look does for all that wait
        """Pass the ticks on; while Redis is away there is nothing to form."""
        self._unknown -= self._matchmakers.keys()  # a reload may have brought them
        try:
            due = await self._upkeep.due_modes(
                period_us=int(self._tick_seconds * 1_000_000),
                not_formed={**dict.fromkeys(self._differing, True), **dict.fromkeys(self._unknown, False)},
            )
        except StoreUnavailable:
            return
        for game_mode in due:
            matchmaker = self._matchmakers.get(game_mode)
            if matchmaker is None:
                self._unknown.add(game_mode)  # a tick that this node is given, no other gets
                continue
            try:
                matchmaker.tell(TICK)
            except (MailboxFull, ActorStopped):
                log.debug("tick_left_out", game_mode=game_mode)  # the next one comes soon enough
