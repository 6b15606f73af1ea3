"""Programs beside a node on this machine, each a process of its own: dedicated servers and simulated players."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from typing import Self

from match_server.app import Started
from match_server.config import Settings
from match_server.errors import SettingsError
from match_server.processes import die_with_parent, stopping_on_signals

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class Interrupted(Exception):
    """SIGTERM or Ctrl-C came before the work was done."""


class LocalSet:
    """Starts `dedicated-server-stub` and `test-client` against one node, and stops what still runs at the end.

    An asynchronous context manager; within it, SIGTERM and Ctrl-C end the programs, and so whatever waits for them.
    """

    def __init__(self, settings: Settings, node: Started) -> None:
        host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
        shown = f"[{host}]" if ":" in host else host
        self._http = f"http://{shown}:{node.port}"
        self._ws = f"ws://{shown}:{node.port}/ws/"
        # Keys go by the environment: a command line is there for everybody to read.
        self._environment = os.environ | {
            "MATCH_SERVER_KEY": settings.server_key.get_secret_value(),
            "MATCH_PLAYER_KEY": settings.player_key.get_secret_value(),
        }
        self._running: list[Process] = []
        self._stopping = asyncio.Event()
        self._signals = stopping_on_signals(self._stop)

    async def __aenter__(self) -> Self:
        self._signals.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop()
        self._signals.__exit__(None, None, None)
        for process in self._running:
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def start_server(self, server_id: str, *, capacity: int, session_seconds: float) -> None:
        """Start a dedicated server, and return once it has registered.

        Raises:
            SettingsError: it did not.
            Interrupted: a signal came first.
        """
        options = ["--server-id", server_id, "--capacity", str(capacity), "--session-seconds", str(session_seconds)]
        arguments = ["--match-server", self._http, "--log-level", "warning", "--drain-seconds", "0", *options]
        process = await self._start("dedicated_server_stub", arguments, stdout=PIPE)
        assert process.stdout  # noqa: S101 - asked for above
        try:
            async with asyncio.timeout(_START_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if self._stopping.is_set():
            raise Interrupted
        if b"ready" not in line:
            raise SettingsError(f"the dedicated server {server_id} did not register")

    async def simulate(self, *, players: int, seed: int) -> int:
        """Simulate players to the end, on this terminal. Returns the exit status: 0 when every one got its match.

        Raises:
            Interrupted: a signal came first.
        """
        arguments = ["--match-server", self._ws, "--players", str(players), "--seed", str(seed)]
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

    async def _start(self, module: str, arguments: list[str], stdout: int | None = None) -> Process:
        if self._stopping.is_set():
            raise Interrupted
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdout=stdout,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is for this command, which stops them itself
            preexec_fn=die_with_parent,
        )
        self._running.append(process)
        return process
