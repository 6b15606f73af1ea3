"""One matchmaking pool on one node: its stores, its links and its actors, built and ended as one.

The node owns what pools share: sockets, signals, the provider of dedicated servers. A pool gets all that it needs
through its constructor, so that a simulation builds the real one on links and scripts of its own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog
from redis.asyncio import Redis

from match_server.actors import allocator, inquiries, janitor, matchmaker, session, ticker
from match_server.actors.allocator import Allocator, AllocatorMessage
from match_server.actors.blocked_queues import BlockedQueues
from match_server.actors.core import ActorSystem, Ref, Supervision
from match_server.actors.explanations import Explanations, StatusAnswers
from match_server.actors.fleet_keeper import FleetKeeper
from match_server.actors.inquiries import Inquiries, InquiriesPort, InquiryMessage
from match_server.actors.janitor import Janitor
from match_server.actors.matchmaker import Matchmaker, MatchmakerMessage
from match_server.actors.modes_watch import ModesWatch
from match_server.actors.services import SessionContext
from match_server.actors.subscriber import Subscriber, SubscriberMessage, Subscriptions
from match_server.actors.ticker import Ticker
from match_server.config import Settings
from match_server.errors import StoreUnavailable
from match_server.events.node import Events, RulesRefused, SlotLacking
from match_server.matching.game_modes import Deadlines, GameModes
from match_server.matching.modes import GameMode
from match_server.proposers import Proposers
from match_server.redis_clock import RedisClock
from match_server.redis_urls import is_cluster, publish_command
from match_server.resume_tokens import TokenMint
from match_server.servers.provider import DedicatedServerProvider, Fleet
from match_server.signing import SigningKeys
from match_server.store.fleets import FleetStore
from match_server.store.journey import AllocationPolicy, JourneyStore
from match_server.store.operators import OperatorStore
from match_server.store.pubsub import PubSubLink
from match_server.store.registry import RegistryStore
from match_server.store.requirements import Requirements
from match_server.store.scripts import Script, ScriptRunner
from match_server.store.upkeep import UpkeepStore

log = structlog.get_logger(__name__)

# Stopped in this order, each phase emptied before the next begins (sessions, in the gateway, are phase 0).
# The janitor before the allocator: it would adopt what the allocator hands to other nodes.
_MATCHMAKER_PHASE, _JANITOR_PHASE, _ALLOCATOR_PHASE, _SUBSCRIBER_PHASE = 1, 2, 3, 4
_SUBSCRIBER_MAILBOX = 100_000
_ACTORS_SHARE = 0.7  # of the time to stop, for the actors; the rest is for a last word to Redis
_SUPERVISION = Supervision()


class Pool:
    """Started by `start`, ended by `stop`."""

    def __init__(
        self,
        *,
        node: str,
        settings: Settings,
        redis: Redis,
        link: PubSubLink,
        scripts: Mapping[str, Script],
        channel_prefix: str,
        provider: DedicatedServerProvider,
        keys: SigningKeys,
        events: Events,
        describe: Callable[[str], str],
        fleets: Sequence[Fleet] = (),
        fleets_period_seconds: float = 1.0,
    ) -> None:
        """Build the stores.

        `node` is the node's id, `link` the pool's pub/sub link, not open yet, and `channel_prefix` what channels' names
        begin with in this database of Redis. `keys` sign for the pool, once they are known.
        `describe` makes of the hash of its game modes what the node says of itself, as JSON. `fleets` are looked at
        every `fleets_period_seconds`.
        """
        self._node = node
        self._settings = settings
        self._link = link
        self._channels = channel_prefix + settings.key_prefix
        self._provider = provider
        self._keys = keys
        self._describe = describe
        self.events = events
        self.subscriptions = Subscriptions()
        self._clock = RedisClock()
        self._tokens = TokenMint(self._clock)
        prefix = settings.key_prefix
        runner = ScriptRunner(
            redis,
            prefix=prefix,
            scripts=scripts,
            clustered=is_cluster(settings.redis_url),
            events=events,
        )
        self._runner = runner
        policy = AllocationPolicy(
            node=node,
            lease_us=_us(settings.node_lease_seconds),
            wait_us=_us(settings.allocation_wait_seconds),
            attempts=settings.allocation_attempts,
            placement=settings.placement,
        )
        self.journey = JourneyStore(
            runner,
            policy=policy,
            loading_timeout_us=_us(settings.loading_timeout_seconds),
            party_timeout_us=_us(settings.party_timeout_seconds),
        )
        self.registry = RegistryStore(runner, redis, prefix=prefix, lease_us=_us(settings.server_lease_seconds))
        publish = publish_command(settings.redis_url)
        self.upkeep = UpkeepStore(runner, redis, prefix=prefix, node=node, publish=publish)
        self.operators = OperatorStore(runner)
        self.inquiries = InquiriesPort()
        self.modes = GameModes(
            settings.game_modes,
            revision=settings.revision,
            defaults=Deadlines(
                loading_timeout=settings.loading_timeout_seconds,
                queue_timeout=settings.queue_timeout_seconds,
                allocation_wait=settings.allocation_wait_seconds,
                reconnect_grace=settings.reconnect_grace_seconds,
            ),
        )
        self.explanations = Explanations(self.operators, self.inquiries, self.modes)
        self._proposers = Proposers(settings, events, runner, self.modes, node=node)
        self._modes_watch = ModesWatch(
            self.operators,
            self.modes,
            self._proposers.rules,
            node=node,
            period_seconds=settings.node_lease_seconds,
            events=events,
        )
        self._fleet_keeper = FleetKeeper(
            fleets,
            registry=self.registry,
            store=FleetStore(runner, redis, prefix=prefix, node=node),
            period_seconds=fleets_period_seconds,
        )
        self._fleets = fleets
        self._matchmakers: dict[str, Ref[MatchmakerMessage]] = {}
        self.requirements = Requirements(
            redis,
            prefix=prefix,
            channels=channel_prefix,
            scripts=scripts,
            clustered=is_cluster(settings.redis_url),
        )

    @property
    def ready(self) -> bool:
        """Redis has been reached: its secrets and its time are known, the pub/sub link stands."""
        return self._keys.ready and self._tokens.ready and self.subscriptions.confirmed

    async def not_ready(self) -> str | None:
        """Why the pool cannot work now; None when it can."""
        try:
            await self.upkeep.ping()
        except StoreUnavailable as error:
            return str(error)
        if not (self.ready and self._runner.available):
            return "Redis answers; the scripts and the pub/sub link are being set up"
        return None

    def warnings(self) -> list[str]:
        """What is wrong with this node's game modes although it can work."""
        return self._proposers.rules.warnings() + self._modes_watch.warnings()

    def start(self, system: ActorSystem) -> SessionContext:
        """Start the actors; returns what sessions need of them."""
        settings = self._settings
        blocked = BlockedQueues(
            system,
            store=self.operators,
            registry=self.registry,
            modes=self.modes,
            clock=asyncio.get_running_loop().time,
        )
        self.events.listen(SlotLacking, blocked.lacks_slot)
        self.events.listen(RulesRefused, self._modes_watch.rules_refused)
        subscriber: Ref[SubscriberMessage] = system.spawn(
            "subscriber",
            lambda: Subscriber(
                link=self._link,
                upkeep=self.upkeep,
                subscriptions=self.subscriptions,
                prefix=self._channels,
                node=self._node,
                heard=self.inquiries.heard,
            ),
            mailbox_limit=_SUBSCRIBER_MAILBOX,
            phase=_SUBSCRIBER_PHASE,
            supervision=_SUPERVISION,
        )
        allocate: Ref[AllocatorMessage] = system.spawn(
            "allocator",
            lambda: Allocator(
                store=self.journey,
                upkeep=self.upkeep,
                provider=self._provider,
                keys=self._keys,
                clock=asyncio.get_running_loop().time,
                lease_seconds=settings.node_lease_seconds,
                game_modes=self.modes,
                events=self.events,
            ),
            mailbox_limit=allocator.MAILBOX_LIMIT,
            phase=_ALLOCATOR_PHASE,
            supervision=_SUPERVISION,
        )
        self._start_modes = partial(self._start_missing, system, allocate)
        self._start_modes()
        system.spawn(
            "janitor",
            lambda: Janitor(
                upkeep=self.upkeep,
                store=self.journey,
                tokens=self._tokens,
                keys=self._keys,
                clock=self._clock,
                allocator=allocate,
                subscriber=subscriber,
                listening=self.subscriptions.listeners,
                game_modes=self.modes,
                describe=lambda: self._describe(self.modes.modes_hash),
                node_lease_seconds=settings.node_lease_seconds,
                grace_seconds=settings.reconnect_grace_seconds,
                events_keep=settings.events_keep,
            ),
            mailbox_limit=janitor.MAILBOX_LIMIT,
            phase=_JANITOR_PHASE,
            supervision=_SUPERVISION,
        )
        system.spawn(
            "ticker",
            lambda: Ticker(
                upkeep=self.upkeep,
                matchmakers=self._matchmakers,
                differing=self._proposers.rules.differing,
                tick_seconds=settings.tick_seconds,
            ),
            mailbox_limit=ticker.MAILBOX_LIMIT,
            phase=_MATCHMAKER_PHASE,
            supervision=_SUPERVISION,
        )
        system.own(self._clock.watch(), name="redis-clock")
        system.own(self._modes_watch.run(), name="modes-watch")
        if self._fleets:
            system.own(self._fleet_keeper.run(), name="fleet-keeper")
        return SessionContext(
            node=self._node,
            modes=self.modes,
            matchmakers=self._matchmakers,
            subscriber=subscriber,
            tokens=self._tokens,
            clock=self._clock,
            status=StatusAnswers(
                store=self.operators,
                explanations=self.explanations,
                modes=self.modes,
                clock=asyncio.get_running_loop().time,
            ),
            events=self.events,
        )

    def reload(self, modes: Sequence[GameMode], *, revision: int) -> list[str]:
        """Go by these game modes from now on. Returns why not, a line for each reason, where that cannot be."""
        reasons = self.modes.not_replaceable(modes)
        if not reasons:
            self.modes.replace(modes, revision=revision)
            self._proposers.rules.again()
            self._modes_watch.look_soon()
            self._start_modes()
        return reasons

    def _start_missing(self, system: ActorSystem, allocate: Ref[AllocatorMessage]) -> None:
        """Start what the modes need and do not have yet."""
        self._proposers.start(system, phase=_MATCHMAKER_PHASE, supervision=_SUPERVISION)
        if self._proposers.ports and not self.inquiries.attached:
            self._start_inquiries(system)
        for mode in self.modes.open:
            if mode.name not in self._matchmakers:
                self._matchmakers[mode.name] = self._start_matchmaker(system, allocate, mode.name)

    def _start_inquiries(self, system: ActorSystem) -> None:
        ref: Ref[InquiryMessage] = system.spawn(
            "inquiries",
            lambda: Inquiries(
                node=self._node,
                channel_of=lambda node: f"{self._channels}node:{node}",
                publish=self.upkeep.publish,
                proposers=self._proposers.ports,
            ),
            mailbox_limit=inquiries.MAILBOX_LIMIT,
            phase=_MATCHMAKER_PHASE,
            supervision=_SUPERVISION,
        )
        self.inquiries.attach(ref)

    def _start_matchmaker(
        self, system: ActorSystem, allocate: Ref[AllocatorMessage], game_mode: str
    ) -> Ref[MatchmakerMessage]:
        return system.spawn(
            f"matchmaker/{game_mode}",
            lambda: Matchmaker(
                game_mode=game_mode,
                modes=self.modes,
                changed=partial(self._proposers.changed, game_mode),
                store=self.journey,
                allocator=allocate,
                match_on_enqueue=self._settings.match_on_enqueue,
                events=self.events,
            ),
            mailbox_limit=matchmaker.MAILBOX_LIMIT,
            phase=_MATCHMAKER_PHASE,
            supervision=_SUPERVISION,
        )

    async def stop(self, system: ActorSystem, *, by: float) -> None:
        """End the actors, and say so to Redis; `by` is a time of the loop's clock."""
        left = by - asyncio.get_running_loop().time()
        await system.stop(max(0.0, left * _ACTORS_SHARE))
        try:
            async with asyncio.timeout_at(by):
                held = await self.upkeep.retire(grace_us=_us(session.STOPPING_GRACE_SECONDS))
        except (StoreUnavailable, TimeoutError):
            log.warning("node_not_retired", detail="its lease runs out instead")
            return
        log.info("node_stopped", players_held=held)


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
