"""The installed commands as real processes: started, watched, stopped, and looked into from outside."""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from redis import Redis

START_SECONDS = 15.0
STOP_SECONDS = 15.0

_running: set["subprocess.Popen[bytes]"] = set()


@atexit.register
def _end_what_is_left() -> None:
    for process in _running:
        if process.poll() is None:
            process.kill()


def eventually(look: Callable[[], Any], *, within_seconds: float = 10.0) -> Any:
    """Look again and again until there is something to see, and return that; for what no event tells."""
    deadline = time.monotonic() + within_seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {within_seconds} s; the last look gave {seen!r}")
        time.sleep(0.01)
    return seen


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment, without its MATCH_* variables and with these (upper-cased, prefixed)."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MATCH_")}
    return clean | {f"MATCH_{name.upper()}": str(value) for name, value in settings.items()}


def run(*command: str, folder: Path, seconds: float = 20, **settings: object) -> "subprocess.CompletedProcess[str]":
    """Run `python -m <command>` to its end."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


class Process:
    """One command in a process of its own, its output in files."""

    def __init__(
        self, folder: Path, *command: str, variables: Mapping[str, str] | None = None, **settings: object
    ) -> None:
        """`settings` become MATCH_* variables; `variables` go into the environment by their own names."""
        name = f"{command[0]}-{uuid.uuid4().hex[:6]}"
        self.folder = folder
        self.command: Sequence[str] = (sys.executable, "-m", *command)
        self._environment = environment(settings) | dict(variables or {})
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "not started"
        return self._process

    @property
    def output(self) -> str:
        return self._out.read_text()

    @property
    def log(self) -> str:
        return self._err.read_text()

    def start(self) -> Self:
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, env=self._environment, stdout=out, stderr=err
            )
        _running.add(self._process)
        return self

    def wait_for_output(self, pattern: str, *, within_seconds: float = START_SECONDS) -> "re.Match[str]":
        """The first match of `pattern` in what it printed."""

        def look() -> "re.Match[str] | None":
            found = re.search(pattern, self.output)
            if not found and self.process.poll() is not None:
                raise AssertionError(
                    f"ended with {self.process.returncode} before {pattern!r}: {self.output}{self.log}"
                )
            return found

        match: re.Match[str] = eventually(look, within_seconds=within_seconds)
        return match

    def wait_for_log(self, text: str) -> None:
        """Wait until this stands in its log."""

        def look() -> bool:
            assert self.process.poll() is None, self.log
            return text in self.log

        eventually(look, within_seconds=START_SECONDS)

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, *, within_seconds: float = STOP_SECONDS) -> int:
        """Its exit status."""
        return self.process.wait(timeout=within_seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        if self.process.poll() is None:
            self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
            _running.discard(self._process)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Node(Process):
    """A `match-server` on a free port. Leaving the block stops it, and then it must have been a good one."""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        prefix: str = "",
        *,
        variables: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        **settings: object,
    ) -> None:
        settings = {"port": 0, "redis_url": redis_url, "key_prefix": prefix} | settings
        super().__init__(folder, "match_server", *options, variables=variables, **settings)
        self.prefix = prefix
        self.redis_url = redis_url
        self.ws = self.base = ""

    def start(self) -> Self:
        super().start()
        ready = self.wait_for_output(r"on (ws://\S+) and (http://\S+) \(Redis: (\S+)\)")
        self.ws, self.base = ready[1], ready[2]
        self.http = httpx.Client(base_url=self.base, trust_env=False, timeout=10)
        return self

    @cached_property
    def redis(self) -> Any:
        """Its store, for tests to look into; where that is one server."""
        socket = re.search(r"embedded_redis_started .*\burl=(unix://\S+)", self.log)
        return Redis.from_url(socket[1] if socket else self.redis_url, decode_responses=True)

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def key(self, name: str) -> str:
        return self.prefix + name

    def keys(self, pattern: str = "*") -> set[str]:
        """The keys of this pool, without its prefix."""
        found: list[str] = self.redis.keys(self.prefix + pattern)
        return {name.removeprefix(self.prefix) for name in found}

    def get(self, path: str, **options: Any) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.http.get(path, **options)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def queue(self, game_mode: str = "Normal_1v1") -> Any:
        return self.get(f"/queues/{game_mode}")

    def state_of(self, player_id: str) -> str:
        """The state of a player as its record has it; empty without a record."""
        return self.redis.hget(self.key(f"player:{player_id}"), "state") or ""

    def players_under_way(self) -> list[str]:
        """The players that are queued, loading or being placed."""
        everybody = [name.removeprefix("player:") for name in self.keys("player:*")]
        return [player_id for player_id in everybody if self.state_of(player_id) not in {"", "matched"}]

    def close(self) -> None:
        self.http.close()
        if "redis" in self.__dict__:
            self.redis.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self.process.poll() is None:
                assert self.stop() == 0, self.log
        finally:
            self.close()
            self.kill()
        if kind is None:
            assert "Traceback" not in self.log, self.log


class LoggingNode(Node):
    """A node that logs JSON, as it does in a container, and so prints nothing."""

    def __init__(self, folder: Path, redis_url: str, prefix: str = "", **settings: Any) -> None:
        super().__init__(folder, redis_url, prefix, options=("--log-format", "json"), **settings)

    def start(self) -> Self:
        Process.start(self)
        started = self.wait_for_line("node_started")
        self.wait_for_line("node_ready")
        self.ws, self.base = f"ws://{started['address']}/ws/", f"http://{started['admin_address']}"
        self.http = httpx.Client(base_url=self.base, trust_env=False, timeout=10)
        return self

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """What it has logged, of this event alone where one is named."""
        whole, _, _ = self.log.rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if event in {"", line["event"]}]

    def wait_for_line(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first line of this event that has these fields."""

        def look() -> dict[str, Any] | None:
            assert self.process.poll() is None, self.log
            found = (line for line in self.lines(event) if fields.items() <= line.items())
            return next(found, None)

        line: dict[str, Any] = eventually(look)
        return line
