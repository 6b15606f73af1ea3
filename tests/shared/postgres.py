"""A PostgreSQL server of the tests' own, from the binaries that are on this machine."""

import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

MISSING = "no PostgreSQL here: apt-get install postgresql"
_FOLDERS = "/usr/lib/postgresql/*/bin"


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; None where there is none."""
    found = shutil.which("initdb")
    folders = [str(Path(found).resolve().parent)] if found else []
    folders += sorted(glob.glob(_FOLDERS), reverse=True)  # noqa: PTH207 - an absolute pattern
    return next((Path(folder) for folder in folders if (Path(folder) / "postgres").exists()), None)


class Postgres:
    """Runs a server on a socket in a folder of its own; a context manager. As it refuses to be root, it is `nobody`."""

    def __init__(self) -> None:
        folder = binaries()
        assert folder is not None, MISSING
        self._binaries = folder
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}

    def __enter__(self) -> Self:
        if self._as:
            shutil.chown(self._folder, "nobody")
        self._run("initdb", "-D", str(self._folder / "data"), "-A", "trust", "-U", "test", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, and return once it answers."""
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self._folder}", "-c", "fsync=off"]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._folder / "data", *options],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        deadline = time.monotonic() + 30
        while subprocess.run(
            [self._binaries / "pg_isready", "-h", self._folder], stdout=subprocess.DEVNULL, check=False
        ).returncode:
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once."""
        if self._process:
            self._process.send_signal(signal.SIGINT)  # without waiting for its clients
            self._process.wait(timeout=30)
            self._process = None

    def database(self, name: str) -> str:
        """Make a database. Returns its URL."""
        self._run("createdb", "-h", str(self._folder), "-U", "test", name)
        return f"postgresql+asyncpg://test@/{name}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        subprocess.run(command, cwd="/", check=True, capture_output=True, **self._as)
