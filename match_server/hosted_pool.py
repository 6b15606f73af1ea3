"""One pool on this node, with what is around it: its store, its keys, its actors, and the calls that reach it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from starlette.routing import BaseRoute, Route, WebSocketRoute

from match_server.actors.core import ActorSystem
from match_server.actors.services import SessionContext
from match_server.config import Settings
from match_server.errors import StoreUnavailable
from match_server.events import node_log
from match_server.events.node import Events
from match_server.pool import Pool
from match_server.redis_urls import channel_prefix, is_cluster, publish_command
from match_server.servers.opening import open_servers
from match_server.signing import SigningKeys
from match_server.store.open_redis import open_redis
from match_server.store.pubsub import PubSubLink
from match_server.store.recent_events import RecentEvents
from match_server.store.scripts import load_scripts
from match_server.web.access import OperatorAccess
from match_server.web.changes import ChangeEndpoints
from match_server.web.dashboard import Dashboard
from match_server.web.gateway import Gateway
from match_server.web.health import HealthEndpoints
from match_server.web.limits import ConnectionLimit
from match_server.web.listings import ListingEndpoints
from match_server.web.live import LiveReadings
from match_server.web.metrics import Metrics
from match_server.web.operators import OperatorEndpoints
from match_server.web.player_tokens import PlayerTokens
from match_server.web.problems import no_socket
from match_server.web.readings import NodeFacts, Readings
from match_server.web.servers import Fleet, ServerEndpoints
from match_server.web.well_known import WellKnownEndpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the pools of a node share."""

    node: str
    limit: ConnectionLimit
    tokens: PlayerTokens
    draining: Callable[[], bool]
    describe: Callable[[str, Mapping[str, Any]], str]
    not_ready: Callable[[], Awaitable[str | None]]
    warnings: Callable[[], Awaitable[list[str]]]


class HostedPool:
    """Opened by `open`, started by `start`, ended by `stop`."""

    def __init__(
        self,
        *,
        name: str,
        settings: Settings,
        shared: Shared,
        system: ActorSystem,
        pool: Pool,
        keys: SigningKeys,
        metrics: Metrics,
        stream: RecentEvents | None,
    ) -> None:
        self.name = name
        self.pool = pool
        self.keys = keys
        self._settings = settings
        self._shared = shared
        self._system = system
        self._metrics = metrics
        self._stream = stream

    @classmethod
    async def open(
        cls, stack: AsyncExitStack, name: str, *, settings: Settings, redis_url: str, shared: Shared
    ) -> "HostedPool":
        """Build the pool; what it holds open closes with `stack`. `settings` are the pool's own.

        Raises:
            ScriptError: a Lua script is missing, or does not fit its use.
            SettingsError: Redis refuses what a node needs, or the file of MATCH_AGONES is wrong.
        """
        redis, primary = await open_redis(stack, redis_url, prefix=settings.key_prefix)
        keys, events = SigningKeys(), Events()
        node_log.listen(events)
        metrics = Metrics(events)
        servers = await open_servers(settings, pool=name, sign=keys.call_token)
        stack.push_async_callback(servers.provider.aclose)
        system = await stack.enter_async_context(ActorSystem())
        if primary:
            system.own(primary.run(), name="redis-primary")
        channels = channel_prefix(settings.redis_url)
        pool = Pool(
            node=shared.node,
            settings=settings,
            redis=redis,
            link=PubSubLink(redis, sharded=is_cluster(settings.redis_url)),
            scripts=load_scripts(
                channel_prefix=channels,
                publish=publish_command(settings.redis_url),
                events=settings.events_keep > 0,
            ),
            channel_prefix=channels,
            provider=servers.provider,
            keys=keys,
            events=events,
            describe=lambda modes_hash: shared.describe(
                modes_hash, {"mailbox": system.depth, "lag_seconds": pool.subscriptions.lag_seconds}
            ),
            fleets=servers.fleets,
            fleets_period_seconds=servers.fleets_period_seconds,
        )
        with suppress(StoreUnavailable):  # it may come later; what it refuses ends the start, here or then
            await pool.requirements.check()
        system.own(pool.requirements.run(), name="requirements")
        stream = RecentEvents(redis, prefix=settings.key_prefix) if settings.events_keep else None
        return cls(
            name=name,
            settings=settings,
            shared=shared,
            system=system,
            pool=pool,
            keys=keys,
            metrics=metrics,
            stream=stream,
        )

    @property
    def fleet(self) -> Fleet:
        """Its dedicated servers, for those who call."""
        return Fleet(self.pool.registry, self.pool.modes, self.pool.events)

    def start(self) -> SessionContext:
        """Start the actors. Every line that they log names the pool."""
        with structlog.contextvars.bound_contextvars(**({"pool": self.name} if self.name else {})):
            return self.pool.start(self._system)

    def routes(
        self, context: SessionContext, *, fleets: Mapping[str, Fleet], keys: Sequence[SigningKeys]
    ) -> tuple[list[BaseRoute], list[BaseRoute]]:
        """What players may reach, and what operators, dedicated servers and Prometheus do.

        `fleets` and `keys` are those of all pools of the node.
        """
        settings, pool, shared = self._settings, self.pool, self._shared
        gateway = Gateway(
            settings=settings,
            system=self._system,
            context=context,
            tokens=shared.tokens,
            limit=shared.limit,
            draining=shared.draining,
            clock=asyncio.get_running_loop().time,
        )
        access = OperatorAccess(settings, pool.events, query=["pool"])
        operators = OperatorEndpoints(
            access=access,
            registry=pool.registry,
            store=pool.operators,
            inquiries=pool.inquiries,
            explanations=pool.explanations,
            modes=pool.modes,
        )
        changes = ChangeEndpoints(access=access, modes=pool.modes, registry=pool.registry, store=pool.operators)
        health = HealthEndpoints(
            not_ready=shared.not_ready, warnings=shared.warnings, render_metrics=self._render_metrics
        )
        listings = ListingEndpoints(access=access, store=pool.operators, modes=pool.modes)
        servers = ServerEndpoints(settings=settings, fleets=fleets, system=self._system)
        published = WellKnownEndpoints(keys=keys)
        public: list[BaseRoute] = [*health.public_routes()]
        for path in ("/ws/", "/ws"):
            public += WebSocketRoute(path, gateway), Route(path, no_socket)
        return public, [
            *servers.routes(),
            *operators.routes(),
            *listings.routes(),
            *changes.routes(),
            *published.routes(),
            *self._dashboard(access, pools=list(fleets)).routes(),
            *health.admin_routes(),
        ]

    def _dashboard(self, access: OperatorAccess, *, pools: Sequence[str]) -> Dashboard:
        """Start what the dashboard's pages hear live: it does nothing until one is opened."""
        pool, loop = self.pool, asyncio.get_running_loop()
        make = partial(
            Readings,
            node=self._shared.node,
            operators=pool.operators,
            registry=pool.registry,
            inquiries=pool.inquiries,
            modes=pool.modes,
            stream=self._stream,
            own=self._node_facts,
            clock=loop.time,
        )
        live = LiveReadings(make, stopping=self._shared.draining, now=time.time, clock=loop.time)
        self._system.own(live.run(), name="dashboard")
        return Dashboard(access=access, live=live, pool=self.name, pools=pools)

    def _node_facts(self) -> NodeFacts:
        return NodeFacts(
            connections=self._shared.limit.count,
            mailbox=self._system.depth,
            lag_seconds=self.pool.subscriptions.lag_seconds,
            calls=self._metrics.calls(),
        )

    async def stop(self, *, by: float) -> None:
        """End the pool; `by` is a time of the loop's clock."""
        await self.pool.stop(self._system, by=by)

    async def _render_metrics(self) -> bytes:
        pool = self.pool
        return await self._metrics.render(
            operators=pool.operators,
            registry=pool.registry,
            game_modes=pool.modes,
            connections=self._shared.limit.count,
            depths=self._system.depths(),
            lag_seconds=pool.subscriptions.lag_seconds,
            ready=await self._shared.not_ready() is None,
        )
