"""The composition root: builds everything, starts it in order, stops it in order."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import structlog
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute

from match_server.actors import allocator, janitor, matchmaker, session
from match_server.actors.allocator import Allocator, AllocatorMessage
from match_server.actors.core import ActorSystem, Ref, Supervision
from match_server.actors.desk import SessionContext
from match_server.actors.janitor import Janitor
from match_server.actors.matchmaker import Matchmaker, MatchmakerMessage
from match_server.actors.subscriber import Subscriber, SubscriberMessage, Subscriptions
from match_server.config import GameMode, Settings
from match_server.errors import StoreUnavailable
from match_server.processes import (
    allow_descriptors,
    bound_socket,
    calm_garbage_collector,
    inherited_socket,
    stopping_on_signals,
)
from match_server.redis_clock import RedisClock
from match_server.resume_tokens import TokenMint
from match_server.servers.http_provider import HttpProvider
from match_server.store.client import connect, redact
from match_server.store.embedded import embedded_redis
from match_server.store.journey import AllocationPolicy, JourneyStore
from match_server.store.operators import OperatorStore
from match_server.store.pubsub import PubSubLink
from match_server.store.registry import RegistryStore
from match_server.store.scripts import Script, ScriptRunner, load_scripts
from match_server.store.upkeep import UpkeepStore
from match_server.web.gateway import Gateway
from match_server.web.health import HealthEndpoints
from match_server.web.http_server import HttpServer
from match_server.web.limits import ConnectionLimit
from match_server.web.metrics import Metrics
from match_server.web.operators import OperatorEndpoints
from match_server.web.problems import (
    Refused,
    no_such_path,
    on_bug,
    on_http_exception,
    on_refused,
    on_store_unavailable,
)
from match_server.web.servers import ServerEndpoints

log = structlog.get_logger(__name__)

# Stopped in this order, each phase emptied before the next begins (sessions, in the gateway, are phase 0).
_MATCHMAKER_PHASE, _ALLOCATOR_PHASE, _JANITOR_PHASE, _SUBSCRIBER_PHASE = 1, 2, 3, 4
_SUBSCRIBER_MAILBOX = 100_000
_READY_SECONDS = 3.0
_OTHER_DESCRIPTORS = 512  # Redis, dedicated servers, operators
_CLOSE_SHARE = 0.5  # of the stop deadline, for connections to close
_ACTORS_SHARE = 0.7  # of what is left then, for the actors; the rest is for a last word to Redis
_STOP_MARGIN_SECONDS = 0.25  # to close what is left open
_SUPERVISION = Supervision()


@dataclass(frozen=True, slots=True)
class Started:
    """A node that listens."""

    node: str
    port: int
    redis_url: str  # what other programs on this machine may connect to; without its password
    ready: bool  # False when Redis does not answer yet: it listens, and refuses requests until then
    stop: Callable[[], None]  # begins the orderly stop


@dataclass(frozen=True, slots=True)
class _Stores:
    journey: JourneyStore
    registry: RegistryStore
    upkeep: UpkeepStore
    operators: OperatorStore
    runner: ScriptRunner


class Node:
    """One matchmaking node. `run` returns once it has stopped."""

    def __init__(self, settings: Settings, *, listen_fd: int | None = None) -> None:
        """Check what can be checked without starting anything.

        `listen_fd` is a bound socket that the parent handed down, instead of the settings' host and port.

        Raises:
            ScriptError: a Lua script is missing, or does not fit its use.
        """
        self._settings = settings
        self._listen_fd = listen_fd
        self._node = uuid.uuid4().hex[:12]
        self._scripts: dict[str, Script] = load_scripts()
        self._metrics = Metrics()
        self._subscriptions = Subscriptions()
        self._redis_clock = RedisClock()
        self._tokens = TokenMint(self._redis_clock)
        self._limit = ConnectionLimit(total=settings.max_connections, per_address=settings.max_connections_per_address)
        self._draining = False
        self._stop_by = 0.0  # by the loop's clock
        self._server: HttpServer | None = None

    async def run(self, on_started: Callable[[Started], None], *, handle_signals: bool = True) -> None:
        """Start, serve until a signal or `Started.stop`, then stop.

        `on_started` is told once the node is ready; and before that that it listens, when Redis is not there yet.

        Raises:
            SettingsError: the port or the embedded store cannot be had.
            ExceptionGroup: an actor crashed too often.
        """
        async with AsyncExitStack() as stack:
            if handle_signals:  # first of all: a stop that comes during the start has to clean up, too
                stack.enter_context(stopping_on_signals(self.stop))
            listener = stack.enter_context(self._listener())
            port = listener.getsockname()[1]
            embedded = await embedded_redis(stack, self._settings.redis_url)
            redis_url = embedded.url if embedded else self._settings.redis_url
            redis = connect(redis_url)
            stack.push_async_callback(redis.aclose)
            stores = self._stores(redis)
            provider = await HttpProvider.open(timeout_seconds=self._settings.allocation_timeout_seconds)
            stack.push_async_callback(provider.aclose)
            system = await stack.enter_async_context(ActorSystem())
            if embedded:
                system.own(embedded.run(), name="embedded-redis")
            context = self._start_actors(system, stores, redis, provider)
            system.own(self._redis_clock.watch(), name="redis-clock")
            self._server = HttpServer(
                self._application(system, context, stores),
                self._settings,
                close_seconds=self._settings.stop_seconds * _CLOSE_SHARE,
            )
            self._server.should_exit = self._draining  # told to stop before it was there
            self._make_room()
            calm_garbage_collector()
            serving = system.own(self._server.serve(sockets=[listener]), name="http")
            while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn sets no event
                await asyncio.sleep(0.005)
            if self._server.started:
                started = Started(self._node, port, redact(redis_url), ready=True, stop=self.stop)
                system.own(self._announce(started, on_started), name="announce")
            await serving
            await self._stop_actors(system, stores)

    def stop(self) -> None:
        """Begin to stop: refuse new work, close every connection with 1012, then end."""
        if not self._draining:
            self._draining = True
            self._stop_by = asyncio.get_running_loop().time() + self._settings.stop_seconds
        if self._server:
            self._server.should_exit = True

    def _make_room(self) -> None:
        """Every connection is an open file, and the usual limit is 1,024."""
        connections = self._settings.max_connections
        allowed = allow_descriptors(connections + _OTHER_DESCRIPTORS)
        if allowed < connections:
            log.warning("open_files_limited", limit=allowed, max_connections=connections, fix="raise ulimit -n")

    @property
    def _ready(self) -> bool:
        """Redis has been reached: its secret and its time are known, the pub/sub link stands."""
        return self._tokens.ready and self._subscriptions.confirmed

    async def _announce(self, started: Started, on_started: Callable[[Started], None]) -> None:
        """Say that the node is ready. When that takes longer, for Redis may come later, say first that it listens."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._ready_or_draining()
        except TimeoutError:
            on_started(replace(started, ready=False))
            await self._ready_or_draining()
        if not self._draining:
            on_started(started)

    async def _ready_or_draining(self) -> None:
        while not (self._ready or self._draining):  # noqa: ASYNC110 - two parts of the node bring it about
            await asyncio.sleep(0.01)

    def _listener(self) -> AbstractContextManager[socket.socket]:
        if self._listen_fd is not None:
            return inherited_socket(self._listen_fd)
        return bound_socket(self._settings.host, self._settings.port)

    def _stores(self, redis: Redis) -> _Stores:
        settings, prefix = self._settings, self._settings.key_prefix
        runner = ScriptRunner(redis, prefix=prefix, scripts=self._scripts, observe=self._metrics.observe_script)
        policy = AllocationPolicy(
            node=self._node,
            lease_us=_us(settings.node_lease_seconds),
            wait_us=_us(settings.allocation_wait_seconds),
            attempts=settings.allocation_attempts,
        )
        return _Stores(
            journey=JourneyStore(runner, policy=policy, loading_timeout_us=_us(settings.loading_timeout_seconds)),
            registry=RegistryStore(runner, redis, prefix=prefix, lease_us=_us(settings.server_lease_seconds)),
            upkeep=UpkeepStore(runner, redis, prefix=prefix, node=self._node),
            operators=OperatorStore(runner, redis, prefix=prefix),
            runner=runner,
        )

    def _start_actors(
        self, system: ActorSystem, stores: _Stores, redis: Redis, provider: HttpProvider
    ) -> SessionContext:
        settings, metrics = self._settings, self._metrics
        names = [mode.name for mode in settings.game_modes]
        subscriber: Ref[SubscriberMessage] = system.spawn(
            "subscriber",
            lambda: Subscriber(
                link=PubSubLink(redis),
                upkeep=stores.upkeep,
                subscriptions=self._subscriptions,
                prefix=settings.key_prefix,
                node=self._node,
            ),
            mailbox_limit=_SUBSCRIBER_MAILBOX,
            phase=_SUBSCRIBER_PHASE,
            supervision=_SUPERVISION,
        )
        allocate: Ref[AllocatorMessage] = system.spawn(
            "allocator",
            lambda: Allocator(
                store=stores.journey,
                upkeep=stores.upkeep,
                provider=provider,
                clock=asyncio.get_running_loop().time,
                lease_seconds=settings.node_lease_seconds,
                game_modes=names,
                observe_call=metrics.observe_call,
                observe_match=metrics.observe_found,
                observe_given_up=metrics.cancelled.labels("allocation_failed").inc,
            ),
            mailbox_limit=allocator.MAILBOX_LIMIT,
            phase=_ALLOCATOR_PHASE,
            supervision=_SUPERVISION,
        )
        matchmakers = {
            mode.name: self._start_matchmaker(system, stores, allocate, mode) for mode in settings.game_modes
        }
        system.spawn(
            "janitor",
            lambda: Janitor(
                upkeep=stores.upkeep,
                store=stores.journey,
                tokens=self._tokens,
                clock=self._redis_clock,
                allocator=allocate,
                subscriber=subscriber,
                listening=self._subscriptions.listeners,
                game_modes=names,
                node_lease_seconds=settings.node_lease_seconds,
                grace_seconds=settings.reconnect_grace_seconds,
                queue_timeout_seconds=settings.queue_timeout_seconds,
                observe=metrics.observe_swept,
            ),
            mailbox_limit=janitor.MAILBOX_LIMIT,
            phase=_JANITOR_PHASE,
            supervision=_SUPERVISION,
        )
        return SessionContext(
            node=self._node,
            matchmakers=matchmakers,
            subscriber=subscriber,
            tokens=self._tokens,
            clock=self._redis_clock,
            observe_delivery=metrics.observe_frame,
        )

    def _start_matchmaker(
        self, system: ActorSystem, stores: _Stores, allocate: Ref[AllocatorMessage], mode: GameMode
    ) -> Ref[MatchmakerMessage]:
        return system.spawn(
            f"matchmaker/{mode.name}",
            lambda: Matchmaker(
                game_mode=mode,
                store=stores.journey,
                allocator=allocate,
                tick_seconds=self._settings.tick_seconds,
                match_on_enqueue=self._settings.match_on_enqueue,
                observe=self._metrics.observe_matched(mode.name),
                observe_loading=self._metrics.loading_time.labels(mode.name).observe,
                observe_left=self._metrics.cancelled.labels("player_left").inc,
            ),
            mailbox_limit=matchmaker.MAILBOX_LIMIT,
            phase=_MATCHMAKER_PHASE,
            supervision=_SUPERVISION,
        )

    def _application(self, system: ActorSystem, context: SessionContext, stores: _Stores) -> Starlette:
        settings = self._settings
        gateway = Gateway(
            settings=settings,
            system=system,
            context=context,
            limit=self._limit,
            draining=lambda: self._draining,
            clock=asyncio.get_running_loop().time,
        )

        async def not_ready() -> str | None:
            if self._draining:
                return "this node is stopping"
            try:
                await stores.upkeep.ping()
            except StoreUnavailable as error:
                return f"Redis does not answer: {error}"
            if not (self._ready and stores.runner.available):
                return "Redis answers; the scripts and the pub/sub link are being set up"
            return None

        async def render_metrics() -> bytes:
            return await self._metrics.render(
                operators=stores.operators,
                registry=stores.registry,
                game_modes=[mode.name for mode in settings.game_modes],
                connections=self._limit.count,
                depths=system.depths(),
                lag_seconds=self._subscriptions.lag_seconds,
            )

        operators = OperatorEndpoints(settings=settings, registry=stores.registry, store=stores.operators)
        health = HealthEndpoints(not_ready=not_ready, render_metrics=render_metrics)
        servers = ServerEndpoints(settings=settings, registry=stores.registry)
        application = Starlette(
            routes=[
                WebSocketRoute("/ws/", gateway),
                WebSocketRoute("/ws", gateway),
                *servers.routes(),
                *operators.routes(),
                *health.routes(),
            ],
            exception_handlers={
                Refused: on_refused,
                HTTPException: on_http_exception,
                StoreUnavailable: on_store_unavailable,
                Exception: on_bug,
            },
        )
        application.router.redirect_slashes = False
        application.router.default = no_such_path
        return application

    async def _stop_actors(self, system: ActorSystem, stores: _Stores) -> None:
        retire_by = self._stop_by - _STOP_MARGIN_SECONDS
        left = retire_by - asyncio.get_running_loop().time()
        await system.stop(max(0.0, left * _ACTORS_SHARE))
        try:
            async with asyncio.timeout_at(retire_by):
                held = await stores.upkeep.retire(grace_us=_us(session.STOPPING_GRACE_SECONDS))
        except (StoreUnavailable, TimeoutError):
            log.warning("node_not_retired", detail="its lease runs out instead")
            return
        log.info("node_stopped", node=self._node, players_held=held)


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)


@asynccontextmanager
async def running_node(settings: Settings) -> AsyncIterator[Started]:
    """A node inside this process, for commands that start more than one thing."""
    started: asyncio.Queue[Started] = asyncio.Queue()
    node = Node(settings)
    async with asyncio.TaskGroup() as group:
        group.create_task(node.run(started.put_nowait, handle_signals=False))
        try:
            yield await started.get()
        finally:
            node.stop()
