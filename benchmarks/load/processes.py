"""Child processes that cannot outlive the run: stopped at its end, and by the kernel should it be killed."""

import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).parents[2]


class BenchmarkError(Exception):
    """The run cannot go on; the text says why."""


def raise_descriptor_limit() -> int:
    """Allow as many open files as the system does: every player is a socket at both ends. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Child:
    """One process, from its start to its end. Its stderr goes to a file, shown when something fails."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        folder: Path,
        cores: frozenset[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it in `folder`, pinned to `cores`; no setting of this shell reaches it (`MATCH_*` are dropped)."""
        self.name = name
        self._log = folder / f"{name}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MATCH_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=inherited | {"PYTHONPATH": str(_ROOT)} | dict(environment or {}),
                start_new_session=True,  # Ctrl-C is for the benchmark, which stops its children
                preexec_fn=_before_exec(cores),  # noqa: PLW1509 - no thread runs in this program
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def write_line(self, line: str) -> None:
        """Send a line to its stdin."""
        stdin = _pipe(self._process.stdin)
        stdin.write(line.encode() + b"\n")
        stdin.flush()

    def read_line(self, seconds: float) -> str:
        """The next line of its stdout.

        Raises:
            BenchmarkError: none came in time, or the process has ended.
        """
        stdout = _pipe(self._process.stdout)
        deadline = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(stdout.fileno(), 1 << 20) if readable else b""
            if not chunk:
                raise BenchmarkError(f"{self.name}: no answer in {seconds:g} s, or it ended:\n{self.last_words()}")
            line += chunk
        return line.decode()

    def last_words(self) -> str:
        """The end of its stderr."""
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it: politely, then not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def python(module: str, *arguments: str) -> list[str]:
    """The command line of a module of this repository."""
    return [sys.executable, "-m", module, *arguments]


def _before_exec(cores: frozenset[int]) -> Callable[[], None]:
    """What a child does before it becomes its program: go to its cores, and die with this process."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        if cores:
            os.sched_setaffinity(0, cores)
        if libc:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - both are pipes from the start
    return pipe
