"""What a case runs against: Redis, nodes or their naive counterpart, dedicated servers, each a process of its own."""

import json
import os
import re
import signal
import socket
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

from benchmarks.load.cores import Layout, pinned
from benchmarks.load.generator import Generator, Helper
from benchmarks.load.measure import Spent, spent
from benchmarks.load.processes import START_SECONDS, BenchmarkError, Child, python
from match_server.store.embedded import ALLOCATOR, find_binary

Variant = Literal["match-server", "naive", "bare"]

GAME_MODES = {2: "Normal_1v1", 10: "Team_5v5", 60: "Royale_60"}  # by players of a match
_ADDRESS = re.compile(r"http://([\d.]+:\d+)")
_MAX_CLIENTS = 15_000


class Stack:
    """Started as a context manager, stopped with everything it started."""

    def __init__(
        self,
        layout: Layout,
        *,
        variant: Variant = "match-server",
        players: int = 2,
        nodes: int = 1,
        workers: int = 1,
        append_only: bool = False,
        idle_modes: int = 0,
        pools: Sequence[str] = (),
    ) -> None:
        """`players` of a match choose the game mode, beside `idle_modes` others in which nobody plays.

        `pools` has the one that each node serves; none are named by default, and all serve the same.

        `append_only` has Redis keep a log on disk.

        Several `nodes` are processes with a port each, several `workers` share the port of the one node.
        """
        self.variant = variant
        self.game_mode = GAME_MODES[players]
        self._layout = layout
        self._players = players
        self._node_count = nodes
        self._workers = workers
        self._append_only = append_only
        self._idle_modes = idle_modes
        self._pools = pools
        self._exits = ExitStack()
        self._pids: dict[str, int] = {}
        self.addresses: list[str] = []  # host:port of each node

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.enter_context(pinned(self._layout.load))
            self._folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
            self.redis_socket = self._folder / "redis.sock"
            if self.variant != "bare":
                self._start_redis(exits)
            for index in range(self._node_count):
                self._start_node(exits, index)
            self.generator = exits.enter_context(Generator("load", self._folder, self._layout.load))
            self._pids["load"] = self.generator.pid
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def start_server(
        self, *, capacity: int, batch: bool = True, session_seconds: float = 0, pool: str | None = None
    ) -> None:
        """Start a dedicated server; returns once it has registered. Sessions of 0 s run as long as the stack."""
        options = [
            *("--match-server", f"http://{self.addresses[0]}"),
            *("--capacity", str(capacity)),
            *("--session-seconds", str(session_seconds)),
            *("--drain-seconds", "0"),
            *("--log-level", "warning"),
            "--batch" if batch else "--no-batch",
            *(("--pool", pool) if pool else ()),
        ]
        self._child(self._exits, "stub", python("dedicated_server_stub", *options), self._layout.stub)

    def start_generator(self, name: str, *, cores: frozenset[int]) -> Generator:
        """Start a load process beside the first."""
        return self._exits.enter_context(Generator(name, self._folder, cores))

    def start_ghosts(self) -> Helper:
        """Start a node without sockets that can fill the queue; beside the node, so that it leaves Redis its core."""
        options = [
            *("--redis-socket", str(self.redis_socket)),
            *("--game-mode", self.game_mode),
            *("--players", str(self._players)),
        ]
        helper = Helper("ghosts", "benchmarks.load.ghosts", *options, folder=self._folder, cores=self._layout.node(0))
        return self._exits.enter_context(helper)

    def start_fleet(self) -> Helper:
        """Start a process that stands for many dedicated servers; none has registered yet."""
        options = ("--match-server", f"http://{self.addresses[0]}")
        helper = Helper("fleet", "benchmarks.load.fleet", *options, folder=self._folder, cores=self._layout.stub)
        self._pids["stub"] = helper.pid
        return self._exits.enter_context(helper)

    def kill_node(self, index: int) -> None:
        """Kill a node as `kill -9` does."""
        os.kill(self._pids[f"node-{index}"], signal.SIGKILL)

    def spent(self) -> Spent:
        """CPU of every process by name: `redis`, `node-0`, …, `stub`, `load`."""
        return spent(self._pids)

    def pid(self, name: str) -> int:
        """The process id of a part."""
        return self._pids[name]

    def _start_redis(self, exits: ExitStack) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.redis_socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": "everysec",
            "maxclients": str(_MAX_CLIENTS),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        command = [find_binary(), *arguments]
        redis = Child("redis", command, folder=self._folder, cores=self._layout.redis, environment=ALLOCATOR)
        self._pids["redis"] = exits.enter_context(redis).pid
        _wait_for_socket(self.redis_socket)

    def _start_node(self, exits: ExitStack, index: int) -> None:
        url = f"unix://{self.redis_socket}"
        if self.variant == "bare":
            command = python("benchmarks.bare")
        elif self.variant == "naive":
            command = python("benchmarks.naive", "--redis-url", url, "--players", str(self._players))
        else:
            idle = [f"Idle_{number}:2" for number in range(self._idle_modes)]
            modes = ",".join([f"{self.game_mode}:{self._players}", *idle])
            options = ["--port", "0", "--redis-url", url, "--game-modes", modes]
            options += ["--workers", str(self._workers)] if self._workers > 1 else []
            command = python("match_server", *options)
        cores = self._layout.node(index) if self._workers == 1 else frozenset().union(*self._layout.nodes)
        environment = {"MATCH_POOLS": self._pools[index]} if self._pools else None
        ready = self._child(exits, f"node-{index}", command, cores, environment)
        found = _ADDRESS.search(ready)
        if not found:
            raise BenchmarkError(f"{command}: said no address: {ready}")
        self.addresses.append(found[1])

    def _child(
        self,
        exits: ExitStack,
        name: str,
        command: list[str],
        cores: frozenset[int],
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Start a process and wait for the line that says it is ready."""
        child = exits.enter_context(Child(name, command, folder=self._folder, cores=cores, environment=environment))
        self._pids[name] = child.pid
        return child.read_line(START_SECONDS)


def _wait_for_socket(path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return
        except OSError:
            time.sleep(0.01)
    raise BenchmarkError("Redis did not start")


def registered(stack: Stack) -> list[dict[str, Any]]:
    """The dedicated servers, as operators see them."""
    with urllib.request.urlopen(f"http://{stack.addresses[0]}/servers", timeout=10) as answer:
        servers: list[dict[str, Any]] = json.load(answer)["servers"]
    return servers
