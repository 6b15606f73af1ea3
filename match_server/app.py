"""The composition root: builds everything, starts it in order, stops it in order."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import structlog
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from match_server import __version__
from match_server.actors.core import ActorSystem
from match_server.config import Settings, warn_of_unknown_variables
from match_server.errors import SettingsError
from match_server.hosted_pool import HostedPool, Shared
from match_server.processes import (
    ADMIN_NAMES,
    allow_descriptors,
    bound_socket,
    calling_on_hangup,
    calm_garbage_collector,
    host_in_url,
    inherited_socket,
    stopping_on_signals,
)
from match_server.redis_urls import redact
from match_server.start_report import log_start
from match_server.store.embedded import embedded_redis
from match_server.web.http_server import HttpServer
from match_server.web.limits import ConnectionLimit
from match_server.web.player_tokens import PlayerTokens
from match_server.web.pool_switch import PoolSwitch
from match_server.web.problems import (
    ERROR_HANDLERS,
    no_such_path,
)
from match_server.web.published_keys import PublishedKeys

log = structlog.get_logger(__name__)

_READY_SECONDS = 3.0
_REFUSED_WITHIN_SECONDS = 1.0  # a start that Redis refuses is one line; after this long it has started, and waits
_OTHER_DESCRIPTORS = 512  # Redis, dedicated servers, operators
_CLOSE_SHARE = 0.5  # of the stop deadline, for connections to close
_ADMIN_CLOSE_SECONDS = 0.2  # for calls under way
_STOP_MARGIN_SECONDS = 0.25  # to close what is left open


@dataclass(frozen=True, slots=True)
class Started:
    """A node that listens."""

    node: str
    port: int
    admin_port: int  # the same, where all is on one listener
    redis_url: str  # without its password; of an embedded store that keeps its data, where that is
    store_url: str = field(repr=False)  # where that Redis is, with its password
    ready: bool  # False when Redis does not answer yet: it listens, and refuses requests until then
    stop: Callable[[], None]  # begins the orderly stop


class Node:
    """One matchmaking node. `run` returns once it has stopped."""

    def __init__(
        self, settings: Settings, *, listen_fd: int | None = None, reread: Callable[[], Settings] | None = None
    ) -> None:
        """Check what can be checked without starting anything.

        `listen_fd` is a bound socket that the parent handed down, instead of the settings' host and port. `reread`
        reads the settings again for a reload, and raises SettingsError; without it there is none.

        Raises:
            ScriptError: a Lua script is missing, or does not fit its use.
        """
        self._settings = settings
        self._listen_fd = listen_fd
        self._reread = reread
        self._pools: list[HostedPool] = []
        self._node = uuid.uuid4().hex[:12]
        self._limit = ConnectionLimit(
            total=settings.max_connections,
            per_address=settings.max_connections_per_address,
            claim_seconds=settings.claim_seconds,
        )
        self._port = 0  # once it listens
        self._started_at = datetime.now(UTC)
        self._draining = False
        self._stop_by = 0.0  # by the loop's clock
        self._server: HttpServer | None = None

    async def run(self, on_started: Callable[[Started], None], *, handle_signals: bool = True) -> None:
        """Start, serve until a signal or `Started.stop`, then stop.

        `on_started` is told once the node is ready; and before that that it listens, when Redis is not there yet.

        Raises:
            SettingsError: the port or the embedded store cannot be had, or Redis refuses what a node needs.
            ExceptionGroup: an actor crashed too often.
        """
        async with AsyncExitStack() as stack:
            if handle_signals:  # first of all: a stop that comes during the start has to clean up, too
                stack.enter_context(stopping_on_signals(self.stop))
                stack.enter_context(calling_on_hangup(self.reload))
            listener = stack.enter_context(self._listener())
            admin_listener = stack.enter_context(self._admin_listener())
            self._port = port = listener.getsockname()[1]
            admin_port = admin_listener.getsockname()[1] if admin_listener else port
            structlog.contextvars.bind_contextvars(node=self._node)  # of every line, in JSON
            say_started = stack.enter_context(
                _once_within(_REFUSED_WITHIN_SECONDS, lambda: self._say_started(admin_port))
            )
            if self._settings.redis_url.startswith("embedded://"):
                say_started()
            embedded = await embedded_redis(stack, self._settings.redis_url)
            shown = embedded.shown if embedded else redact(self._settings.redis_url)
            url = embedded.url if embedded else self._settings.redis_url
            system = await stack.enter_async_context(ActorSystem())
            if embedded:
                system.own(embedded.run(), name="embedded-redis")
            shared = self._shared(system)
            for name in self._settings.pool_names:
                own = self._settings.of_pool(name)
                self._pools.append(await HostedPool.open(stack, name, settings=own, redis_url=url, shared=shared))
            say_started()
            players, admin = self._applications(apart=admin_listener is not None)
            close_seconds = self._settings.stop_seconds * _CLOSE_SHARE
            self._server = HttpServer(players, self._settings, close_seconds=close_seconds)
            self._server.should_exit = self._draining  # told to stop before it was there
            self._make_room()
            calm_garbage_collector()
            serving = system.own(self._server.serve(sockets=[listener]), name="http")
            while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn sets no event
                await asyncio.sleep(0.005)
            async with _serving_admin(system, admin_listener, admin, self._settings):
                if self._server.started:
                    started = Started(self._node, port, admin_port, shown, url, ready=True, stop=self.stop)
                    system.own(self._announce(started, on_started), name="announce")
                await serving
            await asyncio.gather(*(pool.stop(by=self._stop_by - _STOP_MARGIN_SECONDS) for pool in self._pools))
            await system.stop(0)

    def _say_started(self, admin_port: int) -> None:
        log_start(self._settings, address=self._address, admin_address=self._admin_address(admin_port))
        warn_of_unknown_variables()

    def stop(self) -> None:
        """Begin to stop: refuse new work, close every connection with 1012, then end."""
        if not self._draining:
            self._draining = True
            self._stop_by = asyncio.get_running_loop().time() + self._settings.stop_seconds
        if self._server:
            self._server.should_exit = True

    def reload(self) -> None:
        """Read the game modes again, and go by them from now on. Wrong ones change nothing, and the log says why."""
        if self._reread is None or not self._pools:
            return
        try:
            settings = self._reread()
        except SettingsError as error:
            log.error("reload_refused", node=self._node, reasons=str(error).splitlines())
            return
        for hosted in self._pools:  # all have the same modes: what one refuses, all do
            if reasons := hosted.pool.reload(settings.game_modes, revision=settings.revision):
                log.error("reload_refused", node=self._node, reasons=reasons)
                return
        modes = self._pools[0].pool.modes
        opened = [mode.name for mode in modes.open]
        log.info("reloaded", node=self._node, game_modes=opened, revision=modes.revision)

    def _make_room(self) -> None:
        """Every connection is an open file, and the usual limit is 1,024."""
        connections = self._settings.max_connections
        allowed = allow_descriptors(connections + _OTHER_DESCRIPTORS)
        if allowed < connections:
            log.warning("open_files_limited", limit=allowed, max_connections=connections, fix="raise ulimit -n")

    async def _announce(self, started: Started, on_started: Callable[[Started], None]) -> None:
        """Say that the node is ready. When that takes longer, for Redis may come later, say first that it listens."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._ready_or_draining()
        except TimeoutError:
            log.warning("node_not_ready", detail="it listens; Redis does not answer yet")
            on_started(replace(started, ready=False))
            await self._ready_or_draining()
        if not self._draining:
            log.info("node_ready")
            on_started(started)

    async def _ready_or_draining(self) -> None:
        while not (all(hosted.pool.ready for hosted in self._pools) or self._draining):  # noqa: ASYNC110 - two parts of the node bring it about
            await asyncio.sleep(0.01)

    def _listener(self) -> AbstractContextManager[socket.socket]:
        if self._listen_fd is not None:
            return inherited_socket(self._listen_fd)
        return bound_socket(self._settings.host, self._settings.port)

    def _admin_listener(self) -> AbstractContextManager[socket.socket | None]:
        settings = self._settings
        if settings.admin_port is None:
            return nullcontext()
        shared = self._listen_fd is not None
        return bound_socket(settings.admin_host, settings.admin_port, names=ADMIN_NAMES, shared=shared)

    @property
    def _address(self) -> str:
        return f"{host_in_url(self._settings.host)}:{self._port}"

    def _admin_address(self, port: int) -> str:
        settings = self._settings
        return f"{host_in_url(settings.host if settings.admin_port is None else settings.admin_host)}:{port}"

    def _describe(self, modes_hash: str, more: Mapping[str, Any]) -> str:
        """What operators see of this node at `GET /nodes`; `more` is of one of its pools."""
        said = {
            "address": self._address,
            "version": __version__,
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "connections": self._limit.count,
            "modes_hash": modes_hash,
            "state": "draining" if self._draining else "ready",
            **more,
        }
        return to_json(said).decode()

    def _shared(self, system: ActorSystem) -> Shared:
        tokens = _player_tokens(self._settings, system)

        async def not_ready() -> str | None:
            if reason := "this node is stopping" if self._draining else tokens.not_ready:
                return reason
            for hosted in self._pools:
                if reason := await hosted.pool.not_ready():
                    return f"pool {hosted.name}: {reason}" if hosted.name else reason
            return None

        async def warnings() -> list[str]:
            found = [await hosted.pool.requirements.warnings() + hosted.pool.warnings() for hosted in self._pools]
            return list(dict.fromkeys(chain.from_iterable(found)))

        return Shared(
            node=self._node,
            limit=self._limit,
            tokens=tokens,
            draining=lambda: self._draining,
            describe=self._describe,
            not_ready=not_ready,
            warnings=warnings,
        )

    def _applications(self, *, apart: bool) -> tuple[ASGIApp, ASGIApp]:
        """Start the pools. Returns what the players' listener serves, and the admin listener, where it is `apart`."""
        fleets = {hosted.name: hosted.fleet for hosted in self._pools}
        keys = [hosted.keys for hosted in self._pools]
        players: dict[str, ASGIApp] = {}
        admin: dict[str, ASGIApp] = {}
        for hosted in self._pools:
            for_players, others = hosted.routes(hosted.start(), fleets=fleets, keys=keys)
            players[hosted.name] = _application(for_players if apart else [*for_players, *others])
            admin[hosted.name] = _application(others)
        events = self._pools[0].pool.events
        return PoolSwitch(players, events), PoolSwitch(admin, events)


def _player_tokens(settings: Settings, system: ActorSystem) -> PlayerTokens:
    published = PublishedKeys(settings.player_jwks) if settings.player_jwks else None
    if published:
        system.own(published.run(), name="player-keys")
    return PlayerTokens(
        key=settings.player_key,
        published=published,
        issuer=settings.player_issuer,
        audience=settings.player_audience,
    )


def _application(routes: Sequence[BaseRoute]) -> Starlette:
    application = Starlette(routes=routes, exception_handlers=ERROR_HANDLERS)
    application.router.redirect_slashes = False
    application.router.default = no_such_path
    return application


@contextmanager
def _once_within(seconds: float, act: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Act once: when the block calls what it is given, or after so many seconds, but not once it has ended."""
    done = False

    def once() -> None:
        nonlocal done
        if not done:
            done = True
            act()

    timer = asyncio.get_running_loop().call_later(seconds, once)
    try:
        yield once
    finally:
        timer.cancel()


@asynccontextmanager
async def _serving_admin(
    system: ActorSystem, listener: socket.socket | None, application: ASGIApp, settings: Settings
) -> AsyncIterator[None]:
    """Serve the admin listener, where there is one, until the players' has stopped: `/readyz` says so meanwhile."""
    if listener is None:
        yield
        return
    server = HttpServer(application, settings, close_seconds=_ADMIN_CLOSE_SECONDS)
    serving = system.own(server.serve(sockets=[listener]), name="admin-http")
    try:
        yield
    finally:
        server.should_exit = True
    await serving


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
