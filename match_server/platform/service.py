"""The composition root of the platform: builds everything, starts it in order, stops it in order."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import structlog
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from match_server import __version__
from match_server.actors.core import ActorSystem
from match_server.config import Settings, is_loopback, variable
from match_server.errors import SettingsError, StoreRefuses, StoreUnavailable
from match_server.events import node_log
from match_server.events.cloudevents import source_of
from match_server.events.node import Events
from match_server.platform.api import HistoryEndpoints
from match_server.platform.consumer import Consumer, Sink
from match_server.platform.history.database import Database, DatabaseRefuses, DatabaseUnavailable
from match_server.platform.history.queries import History
from match_server.platform.history.writer import HistorySink
from match_server.platform.live import LiveEndpoints
from match_server.platform.metrics import PlatformMetrics
from match_server.platform.stream import EventTail, Position, SinkStream
from match_server.platform.webhooks import CALL_SECONDS, WebhookConsumer, WebhookSink
from match_server.platform.webhooks_file import check_urls, read_webhooks
from match_server.processes import bound_socket, host_in_url, stopping_on_signals
from match_server.redis_urls import channel_prefix, is_cluster, redact
from match_server.store.client import command
from match_server.store.open_redis import open_redis
from match_server.store.scripts import ScriptRunner, load_scripts
from match_server.web.access import OperatorAccess
from match_server.web.health import HealthEndpoints
from match_server.web.http_server import HttpServer
from match_server.web.problems import ERROR_HANDLERS, no_such_path, problem

log = structlog.get_logger(__name__)

_STOP_SECONDS = 2.0
_NAMES = ("MATCH_ADMIN_HOST", "MATCH_PLATFORM_PORT")


@dataclass(frozen=True, slots=True)
class Feed:
    """A sink, and the stream as it reads it."""

    sink: Sink
    stream: SinkStream


@dataclass(frozen=True, slots=True)
class Parts:
    """What the platform is made of, and the commands for dead letters use, too."""

    redis: Redis
    database: Database
    feeds: tuple[Feed, ...]


@asynccontextmanager
async def opened(settings: Settings, system: ActorSystem) -> AsyncIterator[Parts]:
    """Connect to Redis and build every sink that is configured.

    Raises:
        SettingsError: a setting is wrong, or what it needs is not installed.
    """
    if settings.redis_url.startswith("embedded://"):
        raise SettingsError(
            f"{variable('redis_url')}: expected the Redis of running nodes; an embedded one is its node's alone"
        )
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url)
        stack.push_async_callback(database.aclose)
        redis, primary = await open_redis(stack, settings.redis_url, prefix=settings.key_prefix)
        if primary:
            system.own(primary.run(), name="redis-primary")
        scripts = load_scripts(channel_prefix=channel_prefix(settings.redis_url))
        clustered = is_cluster(settings.redis_url)
        runner = ScriptRunner(redis, prefix=settings.key_prefix, scripts=scripts, clustered=clustered)
        sinks: list[Sink] = [HistorySink(database)]
        if settings.kafka_brokers:
            from match_server.platform.kafka import KafkaSink  # noqa: PLC0415 - its library is an extra

            sinks.append(KafkaSink(settings.kafka_brokers, topic_prefix=settings.kafka_topic_prefix))
        if settings.webhooks:
            webhooks = read_webhooks(settings.webhooks)
            await check_urls(webhooks, settings.webhook_networks)
            client = await stack.enter_async_context(
                httpx.AsyncClient(
                    follow_redirects=False,
                    trust_env=False,
                    timeout=CALL_SECONDS,
                    limits=httpx.Limits(
                        max_connections=None
                    ),  # each webhook has its own: one that hangs stops no other
                )
            )
            sinks += [WebhookSink(webhook, networks=settings.webhook_networks, client=client) for webhook in webhooks]
        feeds = tuple(
            Feed(sink, SinkStream(redis, runner, prefix=settings.key_prefix, sink=sink.name)) for sink in sinks
        )
        yield Parts(redis, database, feeds)


class Platform:
    """One process of the platform. `run` returns once it has stopped."""

    def __init__(self, settings: Settings) -> None:
        """Check what can be checked without starting anything.

        Raises:
            SettingsError: it would listen beyond loopback, and anybody could read.
        """
        guarded = settings.admin_keys or settings.admin_key.get_secret_value()
        if not (is_loopback(settings.admin_host) or guarded):
            raise SettingsError(
                f"{variable('admin_key')}: must be set to listen on {settings.admin_host}"
                f" ({variable('admin_host')}), beyond loopback, or anybody could read who played with whom"
            )
        self._settings = settings
        self._holder = uuid.uuid4().hex[:12]
        self._metrics = PlatformMetrics()
        self._stopping = asyncio.Event()
        self._server: HttpServer | None = None

    async def run(self, on_started: Callable[[int], None]) -> None:
        """Serve until SIGTERM or Ctrl-C; `on_started` gets the port.

        Raises:
            SettingsError: a setting is wrong, or what it needs is not installed.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            stack.enter_context(stopping_on_signals(self._stop))
            listener = stack.enter_context(bound_socket(settings.admin_host, settings.platform_port, names=_NAMES))
            system = await stack.enter_async_context(ActorSystem())
            parts = await stack.enter_async_context(opened(settings, system))
            await _check(parts.redis)
            source = source_of(settings.key_prefix)
            consumers = [self._consumer(feed, source, system) for feed in parts.feeds]
            feeding = [system.own(consumer.run(), name="consumer") for consumer in consumers]
            self._server = HttpServer(
                self._application(parts, consumers, source), settings, close_seconds=_STOP_SECONDS
            )
            self._server.should_exit = self._stopping.is_set()
            serving = system.own(self._server.serve(sockets=[listener]), name="http")
            while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn sets no event
                await asyncio.sleep(0.005)
            if self._server.started:
                port = listener.getsockname()[1]
                log.info(
                    "platform_started",
                    version=__version__,
                    address=f"{host_in_url(settings.admin_host)}:{port}",
                    redis_url=redact(settings.redis_url),
                    database=parts.database.shown,
                    sinks=[feed.sink.name for feed in parts.feeds],
                )
                on_started(port)
            await serving
            for consumer in feeding:
                consumer.cancel()
            await asyncio.wait(feeding, timeout=_STOP_SECONDS)
            await system.stop(deadline_seconds=0)

    def _consumer(self, feed: Feed, source: str, system: ActorSystem) -> Consumer:
        observe = self._metrics.observe
        if isinstance(feed.sink, WebhookSink):
            return WebhookConsumer(
                feed.sink,
                feed.stream,
                source=source,
                holder=self._holder,
                observe=observe,
                start=lambda work: system.own(work, name="webhook"),
                clock=time.time,
            )
        return Consumer(feed.sink, feed.stream, source=source, holder=self._holder, observe=observe)

    def _stop(self) -> None:
        self._stopping.set()
        if self._server:
            self._server.should_exit = True

    def _application(self, parts: Parts, consumers: Sequence[Consumer], source: str) -> Starlette:
        events = Events()
        node_log.listen(events)
        access = OperatorAccess(self._settings, events)

        async def not_ready() -> str | None:
            await command(parts.redis, "PING")
            return next((f"{consumer.name}: {consumer.failing}" for consumer in consumers if consumer.failing), None)

        async def no_warnings() -> list[str]:
            return []

        async def render_metrics() -> bytes:
            return self._metrics.render(await _positions(parts.feeds))

        health = HealthEndpoints(not_ready=not_ready, warnings=no_warnings, render_metrics=render_metrics)
        history = HistoryEndpoints(History(parts.database), access)
        tail = EventTail(parts.redis, prefix=self._settings.key_prefix)
        live = LiveEndpoints(tail, access, source=source, stopping=self._stopping.is_set)
        application = Starlette(
            routes=[*history.routes(), *live.routes(), *health.admin_routes()],
            exception_handlers={
                **ERROR_HANDLERS,
                DatabaseUnavailable: _on_database_unavailable,
                DatabaseRefuses: _on_database_unavailable,
            },
        )
        application.router.redirect_slashes = False
        application.router.default = no_such_path
        return application


async def _check(redis: Redis) -> None:
    """Raise SettingsError if Redis refuses this user for good. One that is not there yet is waited for."""
    try:
        await command(redis, "PING")
    except StoreRefuses as error:
        raise SettingsError(f"{variable('redis_url')}: {error}") from error
    except StoreUnavailable:
        log.warning("redis_out_of_reach")


async def _positions(feeds: Sequence[Feed]) -> dict[str, Position]:
    try:
        return {feed.sink.name: await feed.stream.position() for feed in feeds}
    except StoreUnavailable:
        return {}


async def _on_database_unavailable(_request: Request, _error: Exception) -> Response:
    return problem(503, "the history cannot be read now; try again", headers={"Retry-After": "1"})
