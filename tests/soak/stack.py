"""What is soaked: a Redis that keeps its data, two nodes, three dedicated servers of which one is flaky."""

import asyncio
import random
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from redis import exceptions

from benchmarks.load.processes import START_SECONDS, BenchmarkError, python
from match_server.store.client import connect
from match_server.store.embedded import find_binary
from tests.soak.process import Process

GAME_MODES = {"Normal_1v1": 2, "Team_3v3": 6}
LEASE_SECONDS = 2.0
GRACE_SECONDS = 4.0  # longer than any pause of a node: within it, nobody may lose a place
LOADING_TIMEOUT_SECONDS = 6.0
STOP_SECONDS = 4.0
_SESSION_SECONDS = 3
_PORTS = range(20_000, 32_000)  # below those that the system gives to clients: a port must be free at each restart
_FLAKY = ("--refuse-rate", "0.1", "--fail-rate", "0.1", "--hang-rate", "0.05")
_LOOK_SECONDS = 0.02


class Stack:
    """Started as a context manager, stopped with everything it started. Its folder is its owner's to remove."""

    def __init__(self, folder: Path, seed: int) -> None:
        """`seed` is that of the flaky server's misbehaviour."""
        self.socket = folder / "redis.sock"
        self.redis = Process("redis", _redis_command(self.socket), folder=folder)
        self.client = connect(f"unix://{self.socket}")
        ports = _free_ports(5)
        self.node_urls = [f"http://127.0.0.1:{port}" for port in ports[:2]]
        self.nodes = [
            Process(
                f"node-{index}",
                python("match_server", "--log-format", "json"),
                folder=folder,
                environment=_settings(port, self.socket),
            )
            for index, port in enumerate(ports[:2])
        ]
        self.server_urls = [f"http://127.0.0.1:{port}" for port in ports[2:]]
        self.servers = [
            Process(f"server-{index}", self._server_command(index, port, seed), folder=folder)
            for index, port in enumerate(ports[2:])
        ]
        # Every call on a connection of its own: kept ones would be among the descriptors that nodes are judged by.
        self.http = httpx.AsyncClient(trust_env=False, timeout=2.0, limits=httpx.Limits(max_keepalive_connections=0))

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [self.redis, *self.nodes, *self.servers]

    async def __aenter__(self) -> Self:
        try:
            await self.start_redis()
            await asyncio.gather(*map(self.start, self.nodes))
            await asyncio.gather(*map(self.start, self.servers))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def start_redis(self) -> None:
        """Start Redis, and return once it answers with its data loaded."""
        self.redis.start()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                await self.client.ping()
            except (exceptions.RedisError, OSError):
                if self.redis.pid is None or time.monotonic() > deadline:
                    raise BenchmarkError("Redis did not start") from None
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                self.redis.ready = True
                return

    async def start(self, process: Process) -> None:
        """Start a node or a dedicated server, and return once it listens or has registered."""
        process.start()
        await process.said("ready on |node_ready")
        process.ready = True

    async def _end(self) -> None:
        for process in self.processes:
            process.kill()
        await self.http.aclose()
        await self.client.aclose()

    def _server_command(self, index: int, port: int, seed: int) -> list[str]:
        flaky = index == 2
        return python(
            "dedicated_server_stub",
            *("--match-server", self.node_urls[index % len(self.node_urls)]),
            *("--server-id", f"server-{index}", "--port", str(port)),
            *("--capacity", "10" if flaky else "40"),
            *("--session-seconds", str(_SESSION_SECONDS), "--drain-seconds", "0"),
            *("--log-format", "json", "--log-level", "warning"),
            *((*_FLAKY, "--seed", str(seed)) if flaky else ()),
        )


def _settings(port: int, redis: Path) -> dict[str, str]:
    return {
        "MATCH_PORT": str(port),
        "MATCH_REDIS_URL": f"unix://{redis}",
        "MATCH_GAME_MODES": ",".join(f"{name}:{players}" for name, players in GAME_MODES.items()),
        "MATCH_NODE_LEASE_SECONDS": str(LEASE_SECONDS),
        "MATCH_RECONNECT_GRACE_SECONDS": str(GRACE_SECONDS),
        "MATCH_LOADING_TIMEOUT_SECONDS": str(LOADING_TIMEOUT_SECONDS),
        "MATCH_SERVER_LEASE_SECONDS": "6",
        "MATCH_ALLOCATION_TIMEOUT_SECONDS": "1",
        "MATCH_ALLOCATION_WAIT_SECONDS": "10",
        "MATCH_STOP_SECONDS": str(STOP_SECONDS),
    }


def _redis_command(path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "dir": str(path.parent),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    return [find_binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise BenchmarkError(f"no {count} free ports in {_PORTS.start} to {_PORTS.stop}")
