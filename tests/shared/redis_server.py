"""A Redis that a test may kill, pause, empty and start again, with its data or without."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import redis

from match_server.store.embedded import find_binary

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Store(Protocol):
    """What a pool is on, as its nodes and its tests see it: one server or several."""

    url: str

    def do(self, *command: Any) -> Any:
        """Run one command where the pool's keys are."""


class RedisServer:
    """One private server on a Unix socket. `keep` has it write its data down before it answers."""

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._folder = Path(tempfile.mkdtemp(prefix="faults-"))  # a socket's path must be short
        self._process: subprocess.Popen[bytes] | None = None
        self.path = str(self._folder / "redis.sock")
        self.url = f"unix://{self.path}"
        self._client = redis.Redis.from_url(self.url, protocol=2, decode_responses=True, socket_timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self.kill()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start, and return once it answers."""
        options = {
            "port": "0",
            "unixsocket": self.path,
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes" if self._keep else "no",
            "appendfsync": "always",
            "maxclients": "4096",
            "maxmemory-policy": "noeviction",
            "enable-debug-command": "yes",
        }
        self._process = subprocess.Popen(
            [find_binary(), *(part for name, value in options.items() for part in (f"--{name}", value))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - it allocates nothing, and no thread holds a lock that it needs
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                self.do("PING")
            except redis.RedisError:
                assert time.monotonic() < deadline, "Redis did not start"
                time.sleep(0.005)
            else:
                return

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self._process
        os.kill(self._process.pid, signal.SIGCONT)

    def do(self, *command: Any) -> Any:
        """Run one command."""
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    def channels(self) -> set[str]:
        """Every channel that somebody is subscribed to."""
        return set(self.do("PUBSUB", "CHANNELS"))
