"""The janitor: one per node. Ends what is past its deadline, whoever began it, and keeps this node's own lease.

Any node's janitor does the work of all: deadlines live in Redis, by Redis' clock, and each is ended by one script.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import TypeAlias

import structlog

from match_server.actors.allocator import AllocatorMessage, Provision
from match_server.actors.core import Actor, Ref
from match_server.actors.subscriber import CatchUpAll, SubscriberMessage
from match_server.errors import ActorStopped, MailboxFull, StoreUnavailable
from match_server.matching.game_modes import GameModes
from match_server.redis_clock import RedisClock
from match_server.resume_tokens import TokenMint
from match_server.servers.provider import Order
from match_server.signing import SigningKeys
from match_server.store.journey import JourneyStore
from match_server.store.upkeep import UpkeepStore

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 16
SWEEP_SECONDS = 0.5
_ADOPT_CALLS = 16  # in a row; what they leave, other nodes or the next sweep take


class _Sweep:
    __slots__ = ()


class _Renew:
    __slots__ = ()


class _Reconcile:
    __slots__ = ()


JanitorMessage: TypeAlias = _Sweep | _Renew | _Reconcile


class Janitor(Actor[JanitorMessage]):
    """Sweeps, renews, adopts. While Redis is away it just tries again."""

    def __init__(
        self,
        *,
        upkeep: UpkeepStore,
        store: JourneyStore,
        tokens: TokenMint,
        keys: SigningKeys,
        clock: RedisClock,
        allocator: Ref[AllocatorMessage],
        subscriber: Ref[SubscriberMessage],
        listening: Container[str],
        game_modes: GameModes,
        describe: Callable[[], str],
        node_lease_seconds: float,
        grace_seconds: float,
        events_keep: int,
    ) -> None:
        """`listening` holds the players whom a session of this node attends to."""
        self._upkeep = upkeep
        self._store = store
        self._tokens = tokens
        self._keys = keys
        self._clock = clock
        self._allocator = allocator
        self._subscriber = subscriber
        self._listening = listening
        self._game_modes = game_modes
        self._describe = describe
        self._node_lease_seconds = node_lease_seconds
        self._grace_us = int(grace_seconds * 1_000_000)
        self._events_keep = events_keep
        self._known = False  # this node has had a lease
        self._epoch: str | None = None
        self._unattended: set[str] = set()  # at the last look

    async def started(self) -> None:
        """Set the pool's clock going and take a lease, at once; then keep both up."""
        self.ref.tell(_Sweep())
        self.ref.tell(_Renew())
        self.every(SWEEP_SECONDS, _Sweep)
        self.every(self._node_lease_seconds / 3, _Renew)
        self.every(self._node_lease_seconds, _Reconcile)

    async def receive(self, batch: Sequence[JanitorMessage]) -> None:
        """Do what is due; once, however often it was asked for."""
        try:
            if any(isinstance(message, _Sweep) for message in batch):
                await self._sweep()
            if any(isinstance(message, _Renew) for message in batch):
                await self._renew()
            if any(isinstance(message, _Reconcile) for message in batch):
                await self._reconcile()
        except StoreUnavailable as error:
            log.debug("upkeep_put_off", cause=str(error))

    async def _renew(self) -> None:
        self._keys.learn(await self._upkeep.signing_keys(self._keys.proposed))  # one may have been rotated in
        if not self._tokens.ready:
            self._tokens.learn(await self._upkeep.secret(self._tokens.secret))
        lease_us = int(self._node_lease_seconds * 1_000_000)
        known = await self._upkeep.renew(lease_us=lease_us, game_modes=self._game_modes, info=self._describe())
        if self._known and not known:
            log.warning("node_was_thought_dead")
            self._catch_up_all()
        self._known = True

    def _catch_up_all(self) -> None:
        try:
            self._subscriber.tell(CatchUpAll())
        except (MailboxFull, ActorStopped):
            log.warning("catch_up_left_out")  # the periodic one comes within half a minute

    async def _reconcile(self) -> None:
        """Hold players whom Redis attributes to this node and whom no session of it attends to.

        A session crashed, or a command ran long after its caller gave up (docs/races.md, 11). Being found once may be
        chance: who is there twice in a row is held.
        """
        unattended = await self._upkeep.unattended(self._listening)
        ghosts, self._unattended = unattended & self._unattended, unattended
        if ghosts:
            held = await self._upkeep.release(ghosts, grace_us=self._grace_us)
            log.warning("unattended_players_released", count=len(ghosts), held=held)

    async def _sweep(self) -> None:
        swept = await self._upkeep.sweep(
            period_us=int(SWEEP_SECONDS * 1_000_000),
            grace_us=self._grace_us,
            queue_timeout_us=int(self._game_modes.defaults.queue_timeout * 1_000_000),
            own_graces_us=_us(self._game_modes.own("reconnect_grace_seconds")),
            own_queue_timeouts_us=_us(self._game_modes.own("queue_timeout_seconds")),
            events_keep=self._events_keep,
        )
        self._clock.set(swept.redis_us)
        if self._epoch not in {None, swept.epoch}:
            log.warning("redis_may_have_lost_data", epoch=swept.epoch)
            self._tokens.learn(await self._upkeep.secret(self._tokens.secret))
            self._keys.learn(await self._upkeep.signing_keys(self._keys.proposed))
            self._catch_up_all()
        self._epoch = swept.epoch
        if not swept.acted:
            log.info("clock_stood_still", seconds=round(swept.gap_seconds, 3))
        if swept.more:
            self.ref.tell(_Sweep())
        if swept.dead_nodes:
            log.warning("nodes_dead", nodes=list(swept.dead_nodes), addresses=list(swept.dead_addresses))
        for match in swept.without_slot:
            log.warning(
                "allocation_failed",
                loading_session_id=match.loading_session_id,
                game_mode=match.game_mode,
                players=match.players,
                attempts=len(match.tried),
                server_ids=match.tried,
                reason="no_other_slot" if match.tried else "no_free_slot",
            )
        for server in swept.lost_servers:
            log.warning("server_lost", server_id=server.server_id, sessions=server.sessions)
        for lost in swept.lost_events:
            log.error("events_lost", sink=lost.sink, first=lost.first, last=lost.last)
        if swept.acted:
            await self._adopt()

    async def _adopt(self) -> None:
        for _ in range(_ADOPT_CALLS):
            orders, more = await self._store.adopt()
            for order in orders:
                self._take_over(order)
            if not more:
                break

    def _take_over(self, order: Order) -> None:
        log.info("allocation_adopted", loading_session_id=order.loading_session_id, attempt=order.attempt)
        try:
            self._allocator.tell(Provision(order))
        except (MailboxFull, ActorStopped):
            log.warning("allocation_left_to_its_lease", loading_session_id=order.loading_session_id)


def _us(seconds_by_mode: Mapping[str, float]) -> dict[str, int]:
    return {game_mode: int(seconds * 1_000_000) for game_mode, seconds in seconds_by_mode.items()}
