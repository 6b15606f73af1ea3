"""The load process, seen from the program that measures: typed commands, typed answers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from benchmarks.load.players import PATH
from benchmarks.load.processes import START_SECONDS, BenchmarkError, Child, python

_IN_FLIGHT = 100  # opening handshakes at a time
_ANSWER_SECONDS = 150.0
_CLOSE_SECONDS = 10.0


class Journey(NamedTuple):
    """One player's run: µs since the run began, None where nothing came. Latencies count from `due`."""

    due: int
    sent: int
    queued: int | None
    started: int | None
    found: int | None
    session: str


class Helper:
    """A helper process that takes commands; a context manager that ends it."""

    def __init__(self, name: str, module: str, *arguments: str, folder: Path, cores: frozenset[int]) -> None:
        self._child = Child(name, python(module, *arguments), folder=folder, cores=cores)
        self._child.read_line(START_SECONDS)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()

    def tell(self, command: str, /, **arguments: Any) -> None:
        """Send a command; `answer` fetches what came of it."""
        self._child.write_line(json.dumps([command, arguments]))

    def answer(self, patience_seconds: float) -> dict[str, Any]:
        """Wait for the answer of the last command.

        Raises:
            BenchmarkError: none came.
        """
        answer: dict[str, Any] = json.loads(self._child.read_line(patience_seconds))
        return answer

    def ask(self, command: str, /, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.tell(command, **arguments)
        return self.answer(_ANSWER_SECONDS + float(arguments.get("deadline_seconds", 0)))


class Generator(Helper):
    """The players."""

    def __init__(self, name: str, folder: Path, cores: frozenset[int]) -> None:
        super().__init__(name, "benchmarks.load.worker", folder=folder, cores=cores)

    def connect(self, addresses: Sequence[str], count: int, game_mode: str, *, path: str = PATH) -> float:
        """Open `count` connections; returns the seconds that it took.

        Raises:
            BenchmarkError: some were refused.
        """
        answer = self.ask(
            "connect", addresses=list(addresses), path=path, count=count, game_mode=game_mode, in_flight=_IN_FLIGHT
        )
        if answer["opened"] != count:
            raise BenchmarkError(f"only {answer['opened']} of {count} connections were accepted")
        return float(answer["seconds"])

    def run(
        self,
        count: int,
        goal: str,
        *,
        deadline_seconds: float,
        load_at_once: bool = True,
        at: Sequence[float] | None = None,
        echoes: int = 1,
    ) -> int:
        """Let `count` players enqueue and wait for their `goal`; returns how many did not reach it in time."""
        answer = self.ask(
            "run",
            count=count,
            goal=goal,
            load_at_once=load_at_once,
            deadline_seconds=deadline_seconds,
            at=at,
            echoes=echoes,
        )
        return int(answer["left"])

    def release(self, *, deadline_seconds: float) -> int:
        """Let the players of the last run go on from start_loading; returns how many got no match."""
        return int(self.ask("release", deadline_seconds=deadline_seconds)["left"])

    def reconnect(self, address: str, game_mode: str, *, deadline_seconds: float) -> int:
        """Have the players of the last run resume at a node; returns how many were not queued again in time."""
        answer = self.ask(
            "reconnect",
            address=address,
            game_mode=game_mode,
            in_flight=_IN_FLIGHT,
            deadline_seconds=deadline_seconds,
        )
        return int(answer["left"])

    def journeys(self) -> list[Journey]:
        """What the players of the last run noted."""
        return [Journey(*values) for values in self.ask("journeys")["journeys"]]

    def close(self) -> None:
        """Close every connection."""
        self.ask("close", deadline_seconds=_CLOSE_SECONDS)
