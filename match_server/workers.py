"""Several nodes on one machine behind one port, with one embedded Redis between them: `match-server --workers N`.

The parent binds one socket per worker to the same port (SO_REUSEPORT) and hands each worker its own, so the kernel
spreads connections evenly, and a worker that died is replaced on the socket that its callers already wait at.
"""

import asyncio
import os
import socket
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from match_server.actors.core import ActorSystem
from match_server.config import Settings, variable
from match_server.errors import SettingsError
from match_server.processes import READY, bound_socket, next_line, start_child, stopping_on_signals, wait_for_end
from match_server.store.client import redact
from match_server.store.embedded import embedded_redis

log = structlog.get_logger(__name__)

_START_SECONDS = 30.0
_RESTART_SECONDS = 1.0
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
        self._ready: dict[int, bool] = {}  # likewise, of those that listen
        self._told: bool | None = None  # whether all are ready, as it was said last

    async def run(self, on_started: Callable[[int, str, bool], None]) -> None:
        """Run until SIGTERM or Ctrl-C.

        `on_started` is told the port, the URL of Redis, and whether all workers are ready: once they are, and before
        that once they listen, when Redis is not there yet.

        Raises:
            SettingsError: the port or the embedded store cannot be had, or a worker did not start.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(stopping_on_signals(self._stopping.set))
            sockets = self._bind_all(stack)
            embedded = await embedded_redis(stack, self._settings.redis_url)
            redis_url = embedded.url if embedded else self._settings.redis_url
            port = sockets[0].getsockname()[1]
            environment = os.environ | {variable("redis_url"): redis_url, variable("port"): str(port)}
            system = await stack.enter_async_context(ActorSystem())
            if embedded:
                system.own(embedded.run(), name="embedded-redis")
            self._tell: Callable[[bool], None] = lambda ready: on_started(port, redact(redis_url), ready)
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
        """Start a worker on its socket, and another one whenever it dies by itself."""
        descriptor = listener.fileno()
        arguments = ["--listen-fd", str(descriptor), *self._arguments]
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
                raise SettingsError("a worker did not start; the log says why")
            while line:
                self._heard(index, ready=READY in line)
                line = await next_line(process)
            await process.wait()
            if self._stopping.is_set():
                return
            log.error("worker_died", pid=process.pid, status=process.returncode)
            await asyncio.sleep(_RESTART_SECONDS)

    def _heard(self, index: int, *, ready: bool) -> None:
        """Pass on what is true of all workers: that they listen, or that they are ready."""
        self._ready[index] = ready or self._ready.get(index, False)
        together = all(self._ready.values())
        if len(self._ready) == self._count and together is not self._told and not self._stopping.is_set():
            self._told = together
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
