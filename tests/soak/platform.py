"""`python -m tests.soak.platform`: matches at a steady rate while the platform and what it writes to fail in turn."""

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load.cases.burst import warm_up
from benchmarks.load.cases.paced import latencies
from benchmarks.load.cores import here, pinned
from benchmarks.load.processes import raise_descriptor_limit
from benchmarks.load.schedule import poisson_arrivals
from benchmarks.load.stack import Stack
from tests.shared.hook import Hook, Told
from tests.shared.node import eventually
from tests.shared.platform import PlatformProcess
from tests.shared.postgres import MISSING, Postgres, binaries
from tests.soak.platform_sinks import Kafka, KafkaReader

SINKS = ("history", "kafka", "webhook-hook")
TOPICS = ("match", "session")
MANNERS = ("500", "hang", "redirect", "pour")
P99_TO_HEALTHY = 1.10
CAUGHT_UP_WITHIN_SECONDS = 60.0
_SESSION_SECONDS = 2.0
_SPARE_SLOTS = 1_000
_GRACE_SECONDS = 15.0
_KILL_EVERY_SECONDS = (2.0, 8.0)
_ALL_STORED_SECONDS = 300.0
_NOT_CLEAN = 1


@dataclass
class Phase:
    """What one phase showed."""

    name: str
    p50_ms: float
    p99_ms: float
    behind: float  # events of the sink furthest behind, when its fault ended
    caught_up_seconds: float


@dataclass
class Drill:
    """One run."""

    stack: Stack
    start_platform: Callable[[], PlatformProcess]
    postgres: Postgres
    kafka: Kafka
    hook: Hook
    rate: float
    seconds: float
    chance: random.Random
    found: set[str] = field(default_factory=set)  # the matches that players were told of
    kills: int = 0

    def __post_init__(self) -> None:
        self.platform = self.start_platform()

    def phase(self, name: str, fault: Callable[[], None]) -> Phase:
        """Players come for a while; the fault runs beside them, and ends itself."""
        at = poisson_arrivals(
            matches_per_second=self.rate, seconds=self.seconds, players=2, seed=self.chance.randrange(2**32)
        )
        load = self.stack.generator
        load.connect(self.stack.addresses, len(at), self.stack.game_mode)
        beside = threading.Thread(target=fault)
        beside.start()
        left = load.run(len(at), "match_found", deadline_seconds=self.seconds + _GRACE_SECONDS, at=at)
        beside.join()
        behind, ended_at = max(self.behind().values()), time.monotonic()
        journeys = load.journeys()
        load.close()
        assert left == 0, f"{name}: {left} players got no match"
        self.found |= {journey.session for journey in journeys}
        eventually(lambda: not any(self.behind().values()), within_seconds=_ALL_STORED_SECONDS)
        figures = latencies(journeys)
        p50, p99 = figures["match_found_p50_ms"], figures["match_found_p99_ms"]
        return Phase(name, p50, p99, behind, time.monotonic() - ended_at)

    def behind(self) -> dict[str, float]:
        """How many events each sink has still to take."""
        with self.platform.http as http:
            lines = http.get("/metrics").text.splitlines()
        named = {sink: f'match_platform_events_behind{{sink="{sink}"}} ' for sink in SINKS}
        found = {sink: [line for line in lines if line.startswith(start)] for sink, start in named.items()}
        return {sink: float(line[0].rpartition(" ")[2]) if line else 0.0 for sink, line in found.items()}

    def nothing(self) -> None:
        """No fault."""

    def kill_platform(self) -> None:
        """End the process that runs now."""
        self.platform.kill()

    def kill_it_again_and_again(self) -> None:
        """`kill -9` at random moments; it is started again at once."""
        until = time.monotonic() + self.seconds
        while (pause := self.chance.uniform(*_KILL_EVERY_SECONDS)) < until - time.monotonic():
            time.sleep(pause)  # a random moment of its work, not a wait for anything
            self.kill_platform()
            self.kills += 1
            self.platform = self.start_platform()

    def stop_the_database(self) -> None:
        """PostgreSQL is stopped for the whole phase."""
        self.postgres.stop()
        time.sleep(self.seconds)
        self.postgres.start()

    def stop_kafka(self) -> None:
        """No broker answers for the whole phase."""
        self.kafka.stop()
        time.sleep(self.seconds)
        self.kafka.go_on()

    def spoil_the_webhook(self) -> None:
        """The receiver answers 500, hangs, redirects and pours 200 MB, a quarter of the phase each."""
        for manner in MANNERS:
            self.hook.manner = manner
            time.sleep(self.seconds / len(MANNERS))
        self.hook.manner = "ok"
        self.hook.calm.set()

    def phases(self) -> Iterator[Phase]:
        """All of them, one after the other."""
        yield self.phase("healthy", self.nothing)
        yield self.phase("platform killed", self.kill_it_again_and_again)
        yield self.phase("database away", self.stop_the_database)
        yield self.phase("Kafka away", self.stop_kafka)
        yield self.phase("webhook spoilt", self.spoil_the_webhook)
        yield self.phase("healthy again", self.nothing)

    def _ended_matches(self) -> list[dict[str, Any]]:
        """Once the last sessions have ended."""

        def look() -> list[dict[str, Any]] | None:
            matches = self.platform.all_matches()
            return matches if all(match["state"] == "ended" for match in matches) else None

        found: list[dict[str, Any]] = eventually(look, within_seconds=10 * _SESSION_SECONDS)
        return found

    def wrong(self, told: dict[str, Told]) -> Iterator[str]:
        """What history and readers say that players did not see, and the other way round."""
        matches = self._ended_matches()
        ids = [match["match_id"] for match in matches]
        if len(set(ids)) != len(ids):
            yield f"history: {len(ids) - len(set(ids))} matches twice"
        if set(ids) != self.found:
            yield f"history: {len(self.found - set(ids))} matches missing, {len(set(ids) - self.found)} too many"
        if any(len(match["players"]) != 2 for match in matches):
            yield "history: matches without two players"
        for name, of in told.items():
            missing = self.found - of.subjects["match.found"]
            if missing:
                yield f"{name}: match.found missing of {len(missing)} matches"
            yield from (f"{name}: {text}" for text in of.out_of_order)


@contextmanager
def drilled(*, rate: float, seconds: float, seed: int) -> Iterator[tuple[Drill, dict[str, Told]]]:
    """A service with its platform, PostgreSQL, Kafka's mock brokers and a webhook, all started; and who reads along."""
    layout = here()
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="drill-")))
        stack = exits.enter_context(Stack(layout))
        exits.enter_context(pinned(layout.load))  # the platform and its sinks leave the node its core
        postgres = exits.enter_context(Postgres())
        kafka = exits.enter_context(Kafka())
        hook = exits.enter_context(Hook("match.formed", "match.found"))
        settings = {"database_url": postgres.database("drill"), "kafka_brokers": kafka.brokers}

        def start_platform() -> PlatformProcess:
            redis_url = f"unix://{stack.redis_socket}"
            return PlatformProcess(folder, redis_url, "", webhooks=hook.file(folder), **settings).start()

        stack.start_server(capacity=int(rate * _SESSION_SECONDS) + _SPARE_SLOTS, session_seconds=_SESSION_SECONDS)
        drill = Drill(stack, start_platform, postgres, kafka, hook, rate, seconds, random.Random(seed))  # noqa: S311
        exits.callback(drill.kill_platform)
        warm_up(stack)
        eventually(lambda: not any(drill.behind().values()), within_seconds=30)
        drill.found |= {match["match_id"] for match in drill.platform.all_matches()}
        topics = [f"match.{kind}" for kind in TOPICS]
        reader = exits.enter_context(KafkaReader(kafka.brokers, topics))
        yield drill, {"kafka": reader.told, "webhook": hook.told}


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def run(
    rate: Annotated[float, typer.Option(min=1, help="Matches a second.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=4, help="How long each of the six phases takes.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Of arrivals and of the moments of kills.")] = 1,
) -> None:
    """Kill the platform, stop its database, Kafka and webhook in turn; say who waited and whether all is known after.

    Exit status: 0 the history is exact and nothing is missing elsewhere, 1 not. How long players waited is only said.
    """
    if binaries() is None:
        raise typer.BadParameter(MISSING)
    raise_descriptor_limit()
    with drilled(rate=rate, seconds=seconds, seed=seed) as (drill, told):
        table = Table(title=f"{rate:g} matches a second, {seconds:g} s a phase")
        for heading in ("phase", "p50 ms", "p99 ms", "to healthy", "events behind", "caught up s"):
            table.add_column(heading, justify="left" if heading == "phase" else "right")
        phases = []
        for phase in drill.phases():
            said = f"{phase.name}: p99 {phase.p99_ms:.1f} ms, caught up in {phase.caught_up_seconds:.1f} s"
            typer.echo(said, err=True)
            phases.append(phase)
        healthy = (phases[0].p99_ms + phases[-1].p99_ms) / 2
        for phase in phases:
            table.add_row(
                phase.name,
                f"{phase.p50_ms:.1f}",
                f"{phase.p99_ms:.1f}",
                f"{phase.p99_ms / healthy:.2f}",
                f"{phase.behind:.0f}",
                f"{phase.caught_up_seconds:.1f}",
            )
        wrong = list(drill.wrong(told))
        Console(width=100).print(table)
        repeated = ", ".join(f"{name} had {of.repeated} events twice" for name, of in told.items())
        typer.echo(f"{len(drill.found)} matches, {drill.kills} kills; {repeated}")
        for line in wrong:
            typer.echo(f"wrong: {line}", err=True)
    if wrong:
        raise typer.Exit(_NOT_CLEAN)


if __name__ == "__main__":
    app(prog_name="python -m tests.soak.platform")
