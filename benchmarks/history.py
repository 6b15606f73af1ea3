"""`python -m benchmarks history`: events through the sink of the history, as a consumer hands them to it."""

import asyncio
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.platform.history.database import Database
from match_server.platform.history.writer import HistorySink

_PER_BATCH = 500  # as many entries as a consumer reads at once, here of one event each
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_REPORTS = 10
_START_US = 1_790_000_000_000_000


def history(
    events: Annotated[int, typer.Option(min=10_000, help="How many.")] = 1_000_000,
    database: Annotated[str, typer.Option(help="MATCH_DATABASE_URL of an empty database. Default: SQLite.")] = "",
) -> None:
    """How many events a second the history stores, and in how much memory."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_store(events, database or f"sqlite+aiosqlite:///{Path(folder) / 'history.db'}"))


async def _store(count: int, url: str) -> None:
    database = Database(url)
    try:
        sink = HistorySink(database)
        await sink.store([])  # makes the tables
        told = made = 0
        storing = 0.0  # without the time that it takes to make the events up
        source = _events()
        while made < count:
            batch = list(islice(source, min(_PER_BATCH, count - made)))
            started = time.perf_counter()
            await sink.store(batch)
            storing += time.perf_counter() - started
            made += len(batch)
            if made * _REPORTS // count > told:
                told = made * _REPORTS // count
                typer.echo(
                    f"{made} events, {made / storing:.0f} a second, {_resident_bytes() / 2**20:.1f} MiB resident"
                )
    finally:
        await database.aclose()


def _events() -> Iterator[CloudEvent]:
    """Matches of two, each in five events, with times and numbers as the scripts give them."""
    number = 0
    while True:
        match_id, now_us = str(uuid.uuid4()), _START_US + 1000 * number
        players = [f"player-{uuid.uuid4().hex[:12]}" for _ in range(2)]
        names = json.dumps(players)
        lines = [
            *(f"player.queued\t{player}\tNormal_1v1\tfalse\t" for player in players),
            f"match.formed\t{match_id}\tNormal_1v1\t{names}\t{now_us}\t{now_us} {now_us}\t- -\t\t",
            f'match.found\t{match_id}\tNormal_1v1\t{match_id}\tserver-{number % 7}\teu\t{names}\t"203.0.113.7:7777"',
            f'session.ended\t{match_id}\tserver-{number % 7}\treported\t{{"winner":"{players[0]}"}}',
        ]
        number += len(lines)
        yield from read_entry(f"{number}-{now_us}", "\n".join(lines), source="/match-server/")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
