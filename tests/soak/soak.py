"""One run, from the first process to the verdict."""

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from benchmarks.load.processes import BenchmarkError, python
from tests.soak.faults import FAULTS, LOSSY, Struck, schedule
from tests.soak.invariants import Finding, Findings, Invariant
from tests.soak.ledger import Ledger
from tests.soak.process import Process
from tests.soak.rest import Leftover, come_to_rest, leftovers, use_of_redis
from tests.soak.stack import GAME_MODES, GRACE_SECONDS, Stack
from tests.soak.watch import Watch
from tests.soak.waves import Wave, read_wave

LANES = 2  # waves at a time, in each mode
_LAST_WAVES_SECONDS = 120.0
_LOOK_SECONDS = 0.2
_TROUBLE = re.compile(r'Traceback \(most recent|"level": ?"(?:error|critical)"')

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakOptions:
    """What a run is told to do."""

    minutes: float
    seed: int
    faults: bool = True
    lossy: bool = False
    players: int = 160  # at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    options: SoakOptions
    began: float  # on the monotonic clock, as the times of faults and waves
    seconds: float
    findings: Findings
    leftovers: list[Leftover]
    ledger: Ledger
    looks: int

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return self.findings.clean


async def soak(options: SoakOptions, folder: Path, say: Say) -> Outcome:
    """Run; `say` is told of each fault, wave and finding. Everything that was started is ended, whatever happens.

    Raises:
        BenchmarkError: something did not start.
    """
    began = time.monotonic()
    findings = Findings()

    def note(finding: Finding) -> None:
        if findings.add(finding):
            say(f"NOT OK {finding.invariant.text}: {finding.example}")

    async with Stack(folder, options.seed) as stack:
        watch = Watch(stack, note)
        watch.sample()
        before = await use_of_redis(stack)
        crowds = _crowds(stack, options, folder)
        try:
            struck, waves = await _play(options, stack, crowds, watch, say)
        finally:
            for crowd in crowds:
                crowd.kill()
        say("everybody has gone; waiting until nothing moves")
        ledger = Ledger(waves=waves, struck=struck, sightings=watch.sightings, grace_seconds=GRACE_SECONDS)
        for finding in [*ledger.findings(), *await come_to_rest(stack)]:
            note(finding)
        watch.sample()
        left = await leftovers(stack, watch.vitals, before)
        for finding in [*_left(left), *_ends([*stack.processes, *crowds], struck)]:
            note(finding)
    for finding in itertools.chain(*map(_troubles, [*stack.nodes, *stack.servers, *crowds])):
        note(finding)
    return Outcome(
        options=options,
        began=began,
        seconds=time.monotonic() - began,
        findings=findings,
        leftovers=left,
        ledger=ledger,
        looks=watch.looks,
    )


async def _play(
    options: SoakOptions, stack: Stack, crowds: list[Process], watch: Watch, say: Say
) -> tuple[list[Struck], list[Wave]]:
    """Let the players play and the faults strike until the time is up, then let the last waves end."""
    waves: list[Wave] = []
    for crowd in crowds:
        crowd.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.run())
            listening = tasks.create_task(_listen(crowds, waves, say))
            struck = await _strike(options, stack, say)
            for crowd in crowds:
                crowd.terminate()
            await asyncio.gather(*(_last_waves(crowd) for crowd in crowds))
            watching.cancel()
            listening.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from group  # one part failed, and the others were stopped for its sake
    _hear(crowds, waves, say)
    return struck, waves


async def _last_waves(crowd: Process) -> None:
    if (status := await crowd.ended(_LAST_WAVES_SECONDS)) != 0:
        raise BenchmarkError(f"{crowd.name} ended with {status}:\n{crowd.log.read_text()[-2000:]}")


async def _strike(options: SoakOptions, stack: Stack, say: Say) -> list[Struck]:
    struck: list[Struck] = []
    end = time.monotonic() + options.minutes * 60
    rng = Random(options.seed)  # noqa: S311 - a schedule, no secret
    if options.faults or options.lossy:
        faults = (FAULTS if options.faults else ()) + (LOSSY if options.lossy else ())
        for peace_seconds, strike in schedule(faults, rng):
            if time.monotonic() + peace_seconds > end:
                break
            await asyncio.sleep(peace_seconds)
            struck.append(replace(await strike(stack, rng), ended=time.monotonic()))
            say(f"fault  {struck[-1].what}")
    await asyncio.sleep(max(0.0, end - time.monotonic()))
    return struck


async def _listen(crowds: list[Process], waves: list[Wave], say: Say) -> None:
    while True:
        _hear(crowds, waves, say)
        await asyncio.sleep(_LOOK_SECONDS)


def _hear(crowds: Iterable[Process], waves: list[Wave], say: Say) -> None:
    for crowd in crowds:
        for line in crowd.new_lines():
            waves.append(read_wave(line))
            say(f"wave   {waves[-1].describe()}")


def _crowds(stack: Stack, options: SoakOptions, folder: Path) -> list[Process]:
    urls = ",".join(url.replace("http://", "ws://") + "/ws/" for url in stack.node_urls)
    return [
        Process(
            f"crowd-{mode}",
            python(
                "tests.soak.crowd",
                *("--urls", urls, "--game-mode", mode, "--match-size", str(size)),
                *("--players", str(max(size, options.players // (LANES * len(GAME_MODES))))),
                *("--lanes", str(LANES), "--seed", str(options.seed)),
            ),
            folder=folder,
        )
        for mode, size in GAME_MODES.items()
    ]


def _left(rows: Iterable[Leftover]) -> Iterator[Finding]:
    for row in rows:
        if not row.ok:
            yield Finding(Invariant.LEFT, f"{row.what}: {row.at_start} at the start, {row.at_end} at rest")


def _ends(processes: Iterable[Process], struck: Iterable[Struck]) -> Iterator[Finding]:
    for process in processes:
        for status in process.died:
            yield Finding(Invariant.ENDS, f"{process.name} ended by itself with {status}")
    for each in struck:
        if each.fail:
            yield Finding(Invariant.ENDS, each.fail)


def _troubles(process: Process) -> Iterator[Finding]:
    for line in process.log.read_text(errors="replace").splitlines():
        if _TROUBLE.search(line):
            yield Finding(Invariant.LOGS, f"{process.name}: {line[:500]}")
