"""The watch: looks at Redis, the dedicated servers and the processes all the time, and notes what should not be."""

import asyncio
import time
from collections.abc import Callable

import httpx
from redis import exceptions

from tests.soak import pool
from tests.soak.invariants import Finding, Invariant
from tests.soak.ledger import Sightings
from tests.soak.stack import Stack
from tests.soak.vitals import Vitals
from tests.soak.waiting import FullMatches, could_be_matched

_LOOK_SECONDS = 0.5
_VITALS_SECONDS = 1.0


class Watch:
    """`run` looks until it is cancelled. Whatever a fault keeps from answering is looked at the next time."""

    def __init__(self, stack: Stack, on_finding: Callable[[Finding], None]) -> None:
        self._stack = stack
        self._on_finding = on_finding
        self.vitals = Vitals()
        self.sightings = Sightings()
        self._full_matches = FullMatches()
        self.looks = 0  # into Redis, that were answered

    async def run(self) -> None:
        """Watch."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_redis())
            group.create_task(self._watch_processes())
            for url in self._stack.server_urls:
                group.create_task(self._watch_server(url))

    async def _watch_redis(self) -> None:
        while True:
            try:
                self._judge(await pool.look(self._stack.client))
            except (exceptions.RedisError, OSError):
                self._full_matches.forget()  # stopped, killed, or our connection cut
            else:
                self.looks += 1
            await asyncio.sleep(_LOOK_SECONDS)

    def _judge(self, snapshot: pool.Snapshot) -> None:
        for invariant, lines in (
            (Invariant.STRUCTURE, snapshot.contradictions()),
            (Invariant.OVERDUE, snapshot.overdue()),
            (Invariant.CAPACITY, snapshot.overfull()),
            (Invariant.FULL, self._full_matches.look(time.monotonic(), could_be_matched(snapshot))),
        ):
            for line in lines:
                self._on_finding(Finding(invariant, line))

    async def _watch_server(self, url: str) -> None:
        address = url.replace("http://", "ws://")
        while True:
            try:
                status = (await self._stack.http.get(f"{url}/sessions")).json()
            except httpx.HTTPError:
                pass  # killed
            else:
                for session in status["sessions"]:
                    self.sightings.add(session["session_id"], address, session["players"])
                if len(status["sessions"]) > status["capacity"]:
                    full = f"{status['server_id']}: {len(status['sessions'])} sessions, capacity {status['capacity']}"
                    self._on_finding(Finding(Invariant.CAPACITY, full))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _watch_processes(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(_VITALS_SECONDS)

    def sample(self) -> None:
        """Look at each process that is ready, once."""
        for process in self._stack.processes:
            if process.ready and (pid := process.pid) is not None:
                self.vitals.sample(process.name, pid)
