"""Several nodes on one machine behind one port, with one embedded Redis between them: `match-server --workers N`.

The parent binds one socket per worker to the same port (SO_REUSEPORT) and hands each worker its own, so the kernel
spreads connections evenly. A worker that died is replaced on the same socket, where new connections wait meanwhile.
"""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from match_server.actors.core import ActorSystem
from match_server.config import Settings, variable
from match_server.errors import SettingsError
from match_server.processes import (
    ADMIN_NAMES,
    READY,
    bound_socket,
    calling_on_hangup,
    next_line,
    start_child,
    stopping_on_signals,
    wait_for_end,
)
from match_server.redis_urls import redact
from match_server.store.embedded import embedded_redis

log = structlog.get_logger(__name__)

_START_SECONDS = 30.0
_RESTART_SECONDS = 1.0  # twice as long after each replacement that does not start
_MOST_RESTART_SECONDS = 30.0
_STOP_MARGIN_SECONDS = 2.0


class Workers:
    """Starts the workers, replaces those that die, stops them together."""

    def __init__(self, settings: Settings, *, count: int, arguments: list[str]) -> None:
        """`arguments` are options of `match-server` that each worker gets too."""
        self._settings = settings
        self._count = count
        self._arguments = arguments
        self._stopping = asyncio.Event()
        self._processes: dict[int, Process] = {}  # by index of the socket
        self._ready: dict[int, bool] = {}  # by index, of the workers that listen
        self._announced: bool | None = None  # whether all are ready, as `on_started` last heard

    async def run(self, on_started: Callable[[int, int, str, bool], None]) -> None:
        """Run until SIGTERM or Ctrl-C.

        `on_started` gets the players' port, the operators', the URL of Redis, and whether all workers are ready:
        once they are, and before that once they listen, when Redis is not there yet.

        Raises:
            SettingsError: the port or the embedded store cannot be had, or a worker did not start.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(stopping_on_signals(self._stopping.set))
            stack.enter_context(calling_on_hangup(self._pass_hangup_on))
            sockets = self._bind_all(stack)
            embedded = await embedded_redis(stack, self._settings.redis_url)
            redis_url = embedded.url if embedded else self._settings.redis_url
            shown = embedded.shown if embedded else redact(redis_url)
            port = sockets[0].getsockname()[1]
            environment = os.environ | {variable("redis_url"): redis_url, variable("port"): str(port)}
            admin_port = port
            if self._settings.admin_port is not None:  # held here, so that the workers, which share it, find it free
                admin = bound_socket(
                    self._settings.admin_host, self._settings.admin_port, names=ADMIN_NAMES, shared=True
                )
                admin_port = stack.enter_context(admin).getsockname()[1]
                environment[variable("admin_port")] = str(admin_port)
            system = await stack.enter_async_context(ActorSystem())
            if embedded:
                system.own(embedded.run(), name="embedded-redis")
            self._tell: Callable[[bool], None] = lambda ready: on_started(port, admin_port, shown, ready)
            keepers = [
                system.own(self._keep(index, listener, environment), name=f"worker-{index}")
                for index, listener in enumerate(sockets)
            ]
            try:
                await self._stopping.wait()
            finally:
                for keeper in keepers:  # nobody is replaced any more
                    keeper.cancel()
                await asyncio.gather(*keepers, return_exceptions=True)
                for listener in sockets:  # or the kernel would take connections that no worker accepts any more
                    listener.close()
                await self._end_all()
                await system.stop(deadline_seconds=0)

    def _bind_all(self, stack: AsyncExitStack) -> list[socket.socket]:
        first = stack.enter_context(bound_socket(self._settings.host, self._settings.port, shared=True))
        port = first.getsockname()[1]
        others = range(self._count - 1)
        return [first, *(stack.enter_context(bound_socket(self._settings.host, port, shared=True)) for _ in others)]

    async def _keep(self, index: int, listener: socket.socket, environment: dict[str, str]) -> None:
        """Keep a worker on a socket. A replacement that does not start is tried again, and the others go on.

        Raises:
            SettingsError: the first worker did not start.
        """
        port = listener.getsockname()[1]
        if not await self._serve(index, listener, environment):
            raise SettingsError("a worker did not start; the log says why")
        pause_seconds = _RESTART_SECONDS
        while not self._stopping.is_set():
            listener.close()  # or the kernel would give connections to a socket that nobody accepts from
            log.error("worker_not_started", again_in_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)
            with bound_socket(self._settings.host, port, shared=True) as another:
                started = await self._serve(index, another, environment)
            pause_seconds = _RESTART_SECONDS if started else min(2 * pause_seconds, _MOST_RESTART_SECONDS)

    async def _serve(self, index: int, listener: socket.socket, environment: dict[str, str]) -> bool:
        """Start a worker on this socket, and another one whenever it dies, until one does not start.

        Returns whether the first of them started.
        """
        descriptor = listener.fileno()
        arguments = ["--listen-fd", str(descriptor), *self._arguments]
        started = False
        while True:
            process = await start_child(
                "match_server", arguments, environment=environment, output=True, pass_fds=[descriptor]
            )
            self._processes[index] = process
            line = await next_line(process, within_seconds=_START_SECONDS)
            if not line:
                if process.returncode is None:
                    process.terminate()
                await self._end(process)
                return started
            started = True
            while line:
                self._heard(index, ready=READY in line)
                line = await next_line(process)
            await process.wait()
            if self._stopping.is_set():
                return started
            log.error("worker_died", pid=process.pid, status=process.returncode)
            await asyncio.sleep(_RESTART_SECONDS)

    def _pass_hangup_on(self) -> None:
        """Have the workers read their game modes again. One that does not listen yet reads them anyway."""
        for index in self._ready:
            process = self._processes[index]
            if process.returncode is None:
                process.send_signal(signal.SIGHUP)

    def _heard(self, index: int, *, ready: bool) -> None:
        """Announce once that all workers listen, and once that all are ready."""
        self._ready[index] = ready or self._ready.get(index, False)
        together = all(self._ready.values())
        if len(self._ready) == self._count and together is not self._announced and not self._stopping.is_set():
            self._announced = together
            log.info("workers_ready" if together else "workers_listening", count=self._count)
            self._tell(together)

    async def _end_all(self) -> None:
        self._stopping.set()
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self._processes.values():
            await self._end(process)

    async def _end(self, process: Process) -> None:
        await wait_for_end(process, within_seconds=self._settings.stop_seconds + _STOP_MARGIN_SECONDS)
