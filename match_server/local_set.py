"""A node with programs beside it, each a process of its own: dedicated servers and simulated players."""

import asyncio
import os
from asyncio.subprocess import Process
from contextlib import AsyncExitStack
from typing import Any, Self

from match_server.app import Started, running_node
from match_server.config import Settings
from match_server.errors import SettingsError
from match_server.processes import READY, host_in_url, next_line, start_child, stopping_on_signals, wait_for_end

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class Interrupted(Exception):
    """SIGTERM or Ctrl-C came before the work was done."""


class LocalSet:
    """Starts a node, and `dedicated-server-stub` and `test-client` against it; stops what still runs at the end.

    An asynchronous context manager. From its beginning on, SIGTERM and Ctrl-C end the programs, and so whatever waits
    for them; one that came before there were any is seen by the first that would be started.
    """

    node: Started

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Keys go by the environment: a command line is there for everybody to read.
        self._environment = os.environ | {
            "MATCH_SERVER_KEY": settings.server_key.get_secret_value(),
            "MATCH_PLAYER_KEY": settings.player_key.get_secret_value(),
        }
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

    @property
    def _address(self) -> str:
        host = self._settings.host
        everywhere = host.strip("[]") in {"0.0.0.0", "::"}
        return f"{'127.0.0.1' if everywhere else host_in_url(host)}:{self.node.port}"

    async def start_server(self, server_id: str, *, capacity: int, session_seconds: float) -> None:
        """Start a dedicated server, and return once it has registered.

        Raises:
            SettingsError: it did not.
            Interrupted: a signal came first.
        """
        options = ["--server-id", server_id, "--capacity", str(capacity), "--session-seconds", str(session_seconds)]
        node = ["--match-server", f"http://{self._address}"]
        arguments = [*node, "--log-level", "warning", "--drain-seconds", "0", *options]
        process = await self._start("dedicated_server_stub", arguments, output=True)
        ready = READY in await next_line(process, within_seconds=_START_SECONDS)
        if self._stopping.is_set():
            raise Interrupted
        if not ready:
            raise SettingsError(f"the dedicated server {server_id} did not register")

    async def simulate(self, *, players: int, seed: int) -> int:
        """Simulate players to the end, on this terminal. Returns the exit status: 0 when every one got its match.

        Raises:
            Interrupted: a signal came first.
        """
        arguments = ["--match-server", f"ws://{self._address}/ws/", "--players", str(players), "--seed", str(seed)]
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
