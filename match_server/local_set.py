"""A node with programs beside it, each a process of its own: dedicated servers, the platform and simulated players."""

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from match_server.app import Started, running_node
from match_server.config import Settings, variable
from match_server.errors import SettingsError
from match_server.processes import READY, host_to_call, next_line, start_child, stopping_on_signals, wait_for_end

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class Interrupted(Exception):
    """SIGTERM or Ctrl-C came before the work was done."""


class LocalSet:
    """Starts a node, and dedicated servers, the platform and players beside it; stops what still runs at the end.

    An asynchronous context manager. From its beginning on, SIGTERM and Ctrl-C end the programs, and so whatever waits
    for them; one that came before there were any is seen by the first that would be started.
    """

    node: Started
    platform_url: str  # once `platform_ready` has returned

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Keys go by the environment: a command line is there for everybody to read.
        self._environment = os.environ | {
            "MATCH_SERVER_KEY": settings.server_key.get_secret_value(),
            "MATCH_PLAYER_KEY": settings.player_key.get_secret_value(),
        }
        self.server_urls: list[str] = []  # of the dedicated servers that have registered
        self._running: list[Process] = []
        self._stopping = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(stopping_on_signals(self._stop))
            self.node = await stack.enter_async_context(running_node(self._settings))
            stack.push_async_callback(self._end)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.__aexit__(*error)

    async def start_platform(self) -> None:
        """Start the platform, which keeps the history of this set; `platform_ready` waits for it.

        Raises:
            Interrupted: a signal came first.
        """
        settings = self._settings
        address = variable("redis_url"), self.node.store_url
        history = variable("database_url"), self._history_url()
        port = 0 if settings.port == 0 else settings.platform_port
        self._environment |= dict([address, history])
        arguments = ["platform", "--port", str(port), "--log-level", "warning"]
        self._platform = await self._start("match_server", arguments, output=True)

    async def platform_ready(self) -> None:
        """Wait until the platform listens, and learn where.

        Raises:
            SettingsError: it did not start.
            Interrupted: a signal came first.
        """
        line = await next_line(self._platform, within_seconds=_START_SECONDS)
        if self._stopping.is_set():
            raise Interrupted
        if READY not in line:
            raise SettingsError("the platform did not start; its lines above say why")
        self.platform_url = line.decode().split()[-1]

    def _history_url(self) -> str:
        """The database: the one that is set, or a file beside the data of the embedded Redis."""
        settings = self._settings
        if settings.database_url != Settings.model_fields["database_url"].default:
            return settings.database_url
        kept = settings.redis_url.removeprefix("embedded://")
        folder = Path(
            kept if kept.startswith("/") else self._stack.enter_context(TemporaryDirectory(prefix="match-history-"))
        )
        return f"sqlite+aiosqlite:///{folder / 'history.db'}"

    @property
    def address(self) -> str:
        """Where players connect: host and port."""
        return f"{host_to_call(self._settings.host)}:{self.node.port}"

    @property
    def admin_address(self) -> str:
        """Where operators and dedicated servers call: host and port."""
        if self._settings.admin_port is None:
            return self.address
        return f"{host_to_call(self._settings.admin_host)}:{self.node.admin_port}"

    async def start_server(
        self, server_id: str, *, capacity: int, session_seconds: float, region: str | None = None
    ) -> None:
        """Start a dedicated server, and return once it has registered.

        Raises:
            SettingsError: it did not.
            Interrupted: a signal came first.
        """
        options = ["--server-id", server_id, "--capacity", str(capacity), "--session-seconds", str(session_seconds)]
        options += ["--region", region] if region else []
        node = ["--match-server", f"http://{self.admin_address}"]
        arguments = [*node, "--log-level", "warning", "--drain-seconds", "0", "--require-signed-calls", *options]
        process = await self._start("dedicated_server_stub", arguments, output=True)
        line = await next_line(process, within_seconds=_START_SECONDS)
        _, ready, where = line.decode().strip().partition(READY.decode())
        if self._stopping.is_set():
            raise Interrupted
        if not ready:
            late = process.returncode is None
            why = f"not after {_START_SECONDS:g} s" if late else f"it ended with status {process.returncode}"
            raise SettingsError(f"the dedicated server {server_id} did not register: {why}; its lines above say more")
        self.server_urls.append(where)

    async def simulate(self, *, players: int, seed: int, more: Sequence[str] = ()) -> int:
        """Simulate players to the end, on this terminal. Returns the exit status: 0 when every one got its match.

        `more` are further options of `test-client`.

        Raises:
            Interrupted: a signal came first.
        """
        arguments = ["--match-server", f"ws://{self.address}/ws/", "--players", str(players), "--seed", str(seed)]
        arguments += more
        status = await (await self._start("test_client", arguments)).wait()
        if self._stopping.is_set():
            raise Interrupted
        return status

    async def until_stopped(self) -> None:
        """Wait for Ctrl-C or SIGTERM."""
        await self._stopping.wait()

    def _stop(self) -> None:
        self._stopping.set()
        for process in self._running:
            if process.returncode is None:
                process.terminate()

    async def _end(self) -> None:
        self._stop()
        for process in self._running:
            await wait_for_end(process, within_seconds=_STOP_SECONDS)

    async def _start(self, module: str, arguments: list[str], *, output: bool = False) -> Process:
        if self._stopping.is_set():
            raise Interrupted
        process = await start_child(module, arguments, environment=self._environment, output=output)
        self._running.append(process)
        if self._stopping.is_set():  # since before there was a process to stop
            process.terminate()
        return process
