"""This node's game modes, made known to the pool: whose hold is decided in Redis, by their revision."""

from collections.abc import Set

from match_server.events.node import Events, RulesCompared
from match_server.matching.game_modes import GameModes
from match_server.store.tickets import Lease, PoolRules, TicketStore


class RulesPublisher:
    """Publishes the versions of this node's modes: at its start, after a reload, and when Redis has lost its data."""

    def __init__(self, store: TicketStore, modes: GameModes, events: Events) -> None:
        self._store = store
        self._modes = modes
        self._events = events
        self._wanted, self._published = 1, 0  # counts the changes of this node's modes
        self._epoch: str | None = None
        self._differing: set[str] = set()

    def again(self) -> None:
        """The rules have changed: publish them, whatever the pool has."""
        self._wanted += 1

    async def publish(self) -> None:
        """Make sure that the pool has heard of these rules.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        if self._published != self._wanted:
            await self._publish()

    async def look(self) -> None:
        """Publish what is due, or what Redis has lost, and find out which random modes differ from the pool's.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        holds = await self._publish()
        for removed in self._differing - {mode.name for mode in self._modes.open}:
            self._found(removed, differ=False)
        for mode in self._modes.open:
            if not mode.by_rules:
                self._found(mode.name, differ=holds.versions.get(mode.name, mode.rules_version) != mode.rules_version)

    async def _publish(self) -> PoolRules:
        wanted = self._wanted  # a reload during the call is still to be published
        known = self._published == wanted
        holds = await self._store.publish_rules(self._modes.revision, self._modes.versions, only_if_lost=known)
        self._published = wanted
        return holds

    async def leased(self, game_mode: str, lease: Lease) -> None:
        """Take in what the answer to a lease says: whether the mode's rules differ, and whether Redis lost them all.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        if lease.epoch != self._epoch:
            await self._store.publish_rules(self._modes.revision, self._modes.versions, only_if_lost=True)
            self._epoch = lease.epoch
        self._found(game_mode, differ=lease.rules_differ)

    def _found(self, game_mode: str, *, differ: bool) -> None:
        changed = differ != (game_mode in self._differing)
        (self._differing.add if differ else self._differing.discard)(game_mode)
        self._events.record(RulesCompared(game_mode, self._modes.revision, differ=differ, changed=changed))

    @property
    def differing(self) -> Set[str]:
        """The modes that are not the pool's: this node forms no match of them."""
        return self._differing

    def warnings(self) -> list[str]:
        """What is wrong with this node's rules, for `/readyz`."""
        return [
            f"{game_mode}: the rules of this node (revision {self._modes.revision}) are not the pool's;"
            " it forms no match of this mode"
            for game_mode in sorted(self._differing)
        ]
