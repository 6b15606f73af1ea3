"""A MariaDB server of the tests' own, from the binaries that are on this machine."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

MISSING = "no MariaDB here: apt-get install mariadb-server-core mariadb-client-core"


def binary() -> str | None:
    """The path of the server; None where it is missing, or a program that it is installed with."""
    found = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    return found if shutil.which("my_print_defaults") else None


class MySQL:
    """Runs a server on a socket in a folder of its own; a context manager. As it refuses to be root, it is `nobody`."""

    def __init__(self) -> None:
        found = binary()
        assert found is not None, MISSING
        self._binary = found
        self._folder = Path(tempfile.mkdtemp(prefix="my-"))
        self._socket = self._folder / "socket"
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}

    def __enter__(self) -> Self:
        if self._as:
            shutil.chown(self._folder, "nobody")
        install = [
            str(Path(self._binary).parents[1] / "bin/mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self._folder / 'data'}",
            "--skip-test-db",
        ]
        install += ["--auth-root-authentication-method=normal"]
        subprocess.run(install, cwd="/", check=True, capture_output=True, **self._as)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(timeout=30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        options = [
            "--no-defaults",
            "--skip-networking",
            f"--socket={self._socket}",
            f"--datadir={self._folder / 'data'}",
        ]
        options += [f"--pid-file={self._folder / 'pid'}", "--innodb-flush-log-at-trx-commit=0"]
        self._process = subprocess.Popen(
            [self._binary, *options], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._as
        )
        deadline = time.monotonic() + 30
        while not self._socket.exists():  # made once it listens
            assert self._process.poll() is None, "MariaDB did not start"
            assert time.monotonic() < deadline, "MariaDB did not start"
            time.sleep(0.05)

    def database(self, name: str) -> str:
        """Make a database. Returns its URL."""
        asyncio.run(self._create(name))
        return self._url(name)

    async def _create(self, name: str) -> None:
        engine = create_async_engine(self._url(""))
        async with engine.begin() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        await engine.dispose()

    def _url(self, name: str) -> str:
        return f"mysql+asyncmy://root@localhost/{name}?unix_socket={self._socket}"
