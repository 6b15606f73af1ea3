"""Redis servers and sentinels on loopback ports, as processes that a test may kill, pause and start again."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from match_server.processes import die_with_parent
from match_server.store.embedded import find_binary


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, and that the kernel gives to nobody by itself for a while."""
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


class TcpRedis:
    """One server. `options` go on its command line; a `config` file comes first."""

    def __init__(
        self, folder: Path, port: int, *, config: Path | None = None, user: str | None = None, **options: object
    ) -> None:
        """`user` is whom `do` comes as; the password is the same. Without it, the default user."""
        self.port = port
        folder.mkdir(exist_ok=True)
        words = {"port": port, "bind": "127.0.0.1", "dir": folder, "logfile": folder / "redis.log", **options}
        self._arguments = [str(config)] if config else []
        for name, value in words.items():
            self._arguments += [f"--{name.replace('_', '-')}", *str(value).split()]
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        self._client = redis.Redis(
            host="127.0.0.1",
            port=port,
            username=user,
            password=user,
            protocol=2,
            decode_responses=True,
            socket_timeout=5,
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        """It was started, and neither killed nor paused."""
        return self._process is not None and self._process.poll() is None and not self._paused

    def start(self) -> None:
        """Start it. `wait` returns once it answers. Not from a thread that ends: the server would end with it."""
        self._process = subprocess.Popen(
            [find_binary(), *self._arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it allocates nothing, and no thread holds a lock that it needs
        )

    def wait(self) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + 10
        while not self.answers():
            assert time.monotonic() < deadline, f"Redis on port {self.port} did not start"
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether it answers now."""
        try:
            self._client.ping()
        except redis.RedisError:
            return False
        return True

    def do(self, *command: Any) -> Any:
        """Run one command."""
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)
        self._paused = True

    def go_on(self) -> None:
        """SIGCONT."""
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)
        self._paused = False

    def kill(self) -> None:
        """`kill -9`, if it runs."""
        self._client.close()
        if self._process:
            self._process.kill()
            self._process.wait()


def start_all(servers: Iterable[TcpRedis]) -> None:
    """Start them, and return once all answer."""
    servers = list(servers)
    for server in servers:
        server.start()
    for server in servers:
        server.wait()
