"""`python -m tests.soak.rooms`: players in all manners play in rooms, wave after wave, and nothing is left of them.

Half of the rooms speak JSON, the others protobuf. `test-client` plays, and judges: every player saw every move of the
others, and nobody saw a stranger. Then the dedicated server is at rest: its memory, its descriptors and the tasks of
its event loop are what they were, and no log has a traceback.
"""

import asyncio
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load.processes import BenchmarkError, python, raise_descriptor_limit
from tests.soak.process import Process
from tests.soak.rest import Leftover, counted, measured
from tests.soak.vitals import Vitals, metrics_of

FORMS = ("json", "protobuf")
ROOM = 8
MIX = "plays=4,drops=1,teleports=1,floods=1,stalls=1"
_NOT_CLEAN = 1
_MEMORY_BYTES = 16 << 20  # that the server may have grown by since it was warm
_DESCRIPTORS = 4  # a node keeps its connections for a while
_LOOK_SECONDS = 0.25
_ARRIVAL_SECONDS = 6.0  # of a wave: its players drop and flood at half-time, which no machine has to bear at one moment
_REJOIN_SECONDS = 5  # who was cut off for a flood is expected back for so long, and keeps its room open
_REST_SECONDS = 30.0
_LEFT = ("room_rooms", "room_players")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is told to do."""

    minutes: float
    rooms: int  # at a time
    play_seconds: float
    move_hz: float
    seed: int


@dataclass(slots=True)
class Waves:
    """What the players of a run came to."""

    count: int = 0
    players: int = 0
    moves: int = 0
    matches: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)  # in the client's own words

    def add(self, name: str, report: dict[str, Any]) -> None:
        """Count a wave that was played to its end."""
        self.count += 1
        self.matches += report["matches"]
        rooms = report["rooms"] or {"players": 0, "moves": 0, "rejections": {}}
        self.players += rooms["players"]
        self.moves += rooms["moves"]
        self.rejections.update(rooms["rejections"])
        if not report["passed"]:
            wrong = [*report["violations"], *report["unexpected"], *(o for o in report["objectives"] if not o["met"])]
            self.failed.append(f"{name}: {json.dumps(wrong)[:1000]}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    seconds: float
    waves: Waves
    leftovers: list[Leftover]
    tracebacks: list[str]

    @property
    def clean(self) -> bool:
        """Nothing went wrong, and nothing is left."""
        return not (self.waves.failed or self.tracebacks) and all(row.ok for row in self.leftovers)


class RoomSoak:
    """One run. `run` starts and ends everything that it needs.

    Args:
        options: what to do.
        folder: for the logs.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._vitals = Vitals()
        self._waves = Waves()
        modes = ",".join(f"{form}:{ROOM}" for form in FORMS)
        self._node = Process(
            "node",
            python("match_server", "--log-format", "json"),
            folder=folder,
            environment={"MATCH_PORT": "0", "MATCH_GAME_MODES": modes},
        )
        self._server: Process | None = None
        self._clients: list[Process] = []

    async def run(self) -> Outcome:
        """Play until the time is up, then look at what is left.

        Raises:
            BenchmarkError: something did not start, or a client ended without a report.
        """
        began = time.monotonic()
        try:
            self._node.start()
            await self._node.said("node_ready")
            node_url = "http://" + (await self._node.said(r'"address": "([\w.:]+)"'))[1]
            server = self._server = self._make_server(node_url)
            server.start()
            server_url = (await server.said(r"ready on (http://\S+)"))[1]
            async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as http:
                tasks = await self._tasks_of(server)
                self._sample()
                await self._play(node_url)
                left = await self._come_to_rest(http, server_url)
                tasks_left = await self._tasks_of(server)
                self._sample()
            leftovers = [*left, counted("tasks", tasks, tasks_left, 0), *self._of_server()]
        finally:
            for process in (self._node, *filter(None, [self._server]), *self._clients):
                process.kill()
        return Outcome(time.monotonic() - began, self._waves, leftovers, list(self._tracebacks()))

    def _make_server(self, node_url: str) -> Process:
        command = python(
            "tests.soak.room_server",
            *("--match-server", node_url, "--capacity", "500"),
            *("--session-seconds", "0", "--drain-seconds", "0", "--rejoin-seconds", str(_REJOIN_SECONDS)),
            *("--log-format", "json"),
        )
        return Process("server", command, folder=self._folder)

    async def _play(self, node_url: str) -> None:
        end = time.monotonic() + 60 * self._options.minutes
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch())
            lanes = [tasks.create_task(self._lane(number, node_url, end)) for number in range(len(FORMS))]
            await asyncio.wait(lanes)
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            self._sample()
            await asyncio.sleep(1)

    async def _lane(self, lane: int, node_url: str, end: float) -> None:
        """Play wave after wave in one form of the frames; one at least."""
        options = self._options
        rooms = (options.rooms + lane) // len(FORMS)
        number = 0
        while number == 0 or time.monotonic() < end:
            name = f"{FORMS[lane]}-{number}"
            report = self._folder / f"{name}.json"
            arguments = {
                "--match-server": node_url,
                "--players": rooms * ROOM,
                "--rate": rooms * ROOM / _ARRIVAL_SECONDS,
                "--game-mode": FORMS[lane],
                "--play-seconds": options.play_seconds,
                "--move-hz": options.move_hz,
                "--play-mix": MIX,
                "--frames": FORMS[lane],
                "--seed": options.seed + number,
                "--player-prefix": name,
                "--json": report,
            }
            words = [str(word) for pair in arguments.items() for word in pair]
            client = Process(name, python("test_client", "--join", *words), folder=self._folder)
            self._clients.append(client)
            client.start()
            if await client.ended(options.play_seconds + 120) not in {0, 1}:
                raise BenchmarkError(f"{name} did not end well:\n{client.log.read_text()[-2000:]}")
            self._waves.add(name, json.loads(report.read_text()))
            number += 1

    async def _come_to_rest(self, http: httpx.AsyncClient, url: str) -> list[Leftover]:
        """Wait until the last room is gone, for a bounded time; say what is still there."""
        deadline = time.monotonic() + _REST_SECONDS
        while True:
            values = await metrics_of(http, url)
            left = [counted(name, 0, int(values[name]), 0) for name in _LEFT]
            if all(row.ok for row in left) or time.monotonic() > deadline:
                return left
            await asyncio.sleep(_LOOK_SECONDS)

    async def _tasks_of(self, server: Process) -> int:
        """Ask until two answers agree: a task may be about to end."""
        answers = [-1]
        deadline = time.monotonic() + _REST_SECONDS
        while time.monotonic() < deadline:
            server.new_lines()
            assert server.pid is not None
            os.kill(server.pid, signal.SIGUSR1)
            answers.append(int((await server.said(r"tasks (\d+)\n"))[1]))
            if answers[-1] == answers[-2]:
                break
            await asyncio.sleep(1)
        return answers[-1]

    def _sample(self) -> None:
        assert self._server is not None
        if self._server.pid is not None:
            self._vitals.sample("server", self._server.pid)

    def _of_server(self) -> Iterator[Leftover]:
        life = self._vitals.longest("server")
        idle, warm, rest = life.samples[0], life.warm, life.samples[-1]
        yield counted("descriptors", idle.descriptors, rest.descriptors, _DESCRIPTORS)
        yield measured(
            "resident memory", idle.resident_bytes, rest.resident_bytes, _MEMORY_BYTES, warm=warm.resident_bytes
        )

    def _tracebacks(self) -> Iterator[str]:
        for log in self._folder.glob("*.log"):
            text = log.read_text(errors="replace")
            if "Traceback (most recent" in text:
                yield f"{log.name}: {text[text.index('Traceback (most recent') :][:1000]}"


def show(outcome: Outcome, console: Console) -> None:
    """Print the run for people."""
    table = Table(title="the dedicated server", title_justify="left")
    for heading in ("", "at the start", "warm", "at rest", "allowed", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for row in outcome.leftovers:
        table.add_row(row.what, row.at_start, row.warm, row.at_end, row.limit, "ok" if row.ok else "NOT OK")
    console.print(table)
    waves = outcome.waves
    rejected = ", ".join(f"{reason} {count:,}" for reason, count in waves.rejections.items()) or "nothing"
    console.print(
        f"{waves.count} waves, {waves.matches:,} rooms, {waves.players:,} players, {waves.moves:,} moves; "
        f"rejected: {rejected}; {outcome.seconds:.0f} s in all",
        soft_wrap=True,
    )
    for line in (*waves.failed, *outcome.tracebacks):
        console.print(line, style="red", soft_wrap=True, markup=False)
    console.print("clean" if outcome.clean else "NOT clean")


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def run(
    minutes: Annotated[float, typer.Option(min=0, help="How long waves of players come.")] = 10.0,
    rooms: Annotated[int, typer.Option(min=2, help="Rooms of eight at a time.")] = 25,
    play_seconds: Annotated[float, typer.Option(min=3, help="How long the players of a wave play.")] = 30.0,
    move_hz: Annotated[float, typer.Option(min=0.1, max=120, help="Moves a second of each.")] = 5.0,
    seed: Annotated[int | None, typer.Option(help="Repeat the players' chances. Default: a new one.")] = None,
) -> None:
    """Let players who drop, rejoin, teleport, flood and stall play in rooms; say what is left of them.

    Exit status: 0 clean, 1 not clean, 2 something did not start.
    """
    options = Options(
        minutes=minutes,
        rooms=rooms,
        play_seconds=play_seconds,
        move_hz=move_hz,
        seed=secrets.randbits(31) if seed is None else seed,
    )
    raise_descriptor_limit()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    keep = True
    try:
        outcome = asyncio.run(RoomSoak(options, folder).run())
        keep = not outcome.clean
    except BenchmarkError as error:
        typer.echo(f"soak: {error}", err=True)
        raise typer.Exit(2) from None
    finally:
        if keep:
            typer.echo(f"the logs are kept in {folder}", err=True)
        else:
            shutil.rmtree(folder)
    typer.echo(f"seed {options.seed}")
    show(outcome, Console())
    if not outcome.clean:
        raise typer.Exit(_NOT_CLEAN)


if __name__ == "__main__":
    app(prog_name="python -m tests.soak.rooms")
