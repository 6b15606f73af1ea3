"""A program that may be killed, paused and started again. None outlives this one."""

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.load.processes import START_SECONDS, BenchmarkError

_LOOK_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).parents[2]
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Process:
    """One program under one name; every life of it appends to the same log.

    Its output goes to files, so that nothing of it is lost and no pipe can fill up.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.died: list[int] = []  # exit statuses of ends that nobody here brought about
        self.ready = False  # in this life; for whoever starts it to say
        self._arguments = arguments
        self._folder = folder
        self._environment = dict(environment or {})
        self._output = folder / f"{name}.out"
        self._read = 0  # bytes of the output
        self._logged = 0  # bytes of the log before this life
        self._asked_to_end = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it; no `MATCH_*` setting of this shell reaches it."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MATCH_")}
        with self.log.open("ab") as log, self._output.open("ab") as output:
            self._read, self._asked_to_end, self.ready = output.tell(), False, False
            self._logged = log.tell()
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                cwd=self._folder,
                env=inherited | {"PYTHONPATH": str(_ROOT)} | self._environment,
                start_new_session=True,  # Ctrl-C is for the soak, which stops its children
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it allocates nothing, and no thread runs in this program
            )

    async def said(self, pattern: str) -> re.Match[str]:
        """Wait until this life of it prints something, or logs it.

        Raises:
            BenchmarkError: it did not in time, or it ended.
        """
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(pattern, self._said())):
            if self.pid is None or time.monotonic() > deadline:
                last_words = self.log.read_text(errors="replace")[-2000:]
                raise BenchmarkError(f"{self.name} ended, or did not say {pattern!r} in time:\n{last_words}")
            await asyncio.sleep(_LOOK_SECONDS)
        return found

    def _said(self) -> str:
        said = self._output.read_bytes()[self._read :] + self.log.read_bytes()[self._logged :]
        return said.decode(errors="replace")

    def new_lines(self) -> list[str]:
        """The whole lines that it has printed since this was asked last."""
        with self._output.open("rb") as output:
            output.seek(self._read)
            whole, newline, _ = output.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return whole.decode().splitlines()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM."""
        self._asked_to_end = True
        self._signal(signal.SIGTERM)

    async def ended(self, within_seconds: float) -> int | None:
        """Wait for its end. The exit status; None if it still runs after that time."""
        deadline = time.monotonic() + within_seconds
        while self.pid is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - a child's end sets no event
            await asyncio.sleep(_LOOK_SECONDS)
        return self._process.poll() if self._process else None

    def kill(self) -> None:
        """`kill -9`; it is noted in `died` if it had ended by itself before."""
        if self._process is None:
            return
        if (status := self._process.poll()) is not None and not self._asked_to_end:
            self.died.append(status)
        self._process.kill()
        self._process.wait()
        self._process = None

    def _signal(self, number: int) -> None:
        if (pid := self.pid) is not None:
            os.kill(pid, number)


def _die_with_parent() -> None:
    """Run in the child before it becomes its program: a paused one takes no other signal."""
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
