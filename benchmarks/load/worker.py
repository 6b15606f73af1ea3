"""The load process: opens connections and drives players as it is told (see command_loop.py).

It does as little as it can while a run is timed: what it noted is fetched afterwards with `journeys`.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Sequence

from benchmarks.load.command_loop import Answer, run_process, serve_commands
from benchmarks.load.players import Goal, Player

_CONNECT_SECONDS = 120.0


class Worker:
    """Holds the connections, in the order in which they were opened. A run takes the next ones that were not used."""

    def __init__(self) -> None:
        self._players: list[Player] = []
        self._used = 0
        self._last: list[Player] = []  # those of the last run
        self._began = 0.0
        self._serial = 0

    async def connect(self, addresses: Sequence[str], count: int, game_mode: str, in_flight: int) -> Answer:
        """Open connections, round robin over `host:port` addresses, so many handshakes at a time."""
        room = asyncio.Semaphore(in_flight)
        ended: set[Player] = set()  # whose handshake is over, one way or the other
        everyone = asyncio.Event()

        def on_opened(player: Player) -> None:
            if player not in ended:
                ended.add(player)
                room.release()
                if len(ended) == count:
                    everyone.set()

        began = time.monotonic()
        async with asyncio.timeout(_CONNECT_SECONDS), asyncio.TaskGroup() as tasks:
            for _ in range(count):
                await room.acquire()
                tasks.create_task(self._open(addresses, game_mode, on_opened))
            await everyone.wait()
        return {"seconds": time.monotonic() - began, "opened": sum(player.open for player in ended)}

    async def _open(self, addresses: Sequence[str], game_mode: str, on_opened: Callable[[Player], None]) -> None:
        self._serial += 1
        address = addresses[self._serial % len(addresses)]
        host, _, port = address.rpartition(":")
        player = Player(address, f"load-{os.getpid()}-{self._serial}", game_mode, on_opened)
        self._players.append(player)
        await asyncio.get_running_loop().create_connection(lambda: player, host, int(port))

    async def run(
        self,
        count: int,
        goal: str,
        load_at_once: bool,
        deadline_seconds: float,
        at: Sequence[float] | None = None,
        echoes: int = 1,
    ) -> Answer:
        """Let the next `count` players enqueue, all at once or `at` these seconds, and wait for their `goal` frame."""
        self._last = self._players[self._used : self._used + count]
        self._used += count
        reached = asyncio.Event()
        wanted = Goal(goal.encode(), len(self._last), reached.set, load_at_once, echoes)
        gc.collect()
        gc.disable()
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._enqueue(wanted, at)
                await reached.wait()
        except TimeoutError:
            pass  # whoever is left has no time noted, and is counted as left
        finally:
            gc.enable()
        return {"left": wanted.left, "seconds": time.monotonic() - self._began}

    async def release(self, deadline_seconds: float) -> Answer:
        """Let the players of the last run, held at start_loading, go on to match_found."""
        for player in self._last:
            player.loading_complete()
        return await self.await_matches(deadline_seconds)

    async def await_matches(self, deadline_seconds: float) -> Answer:
        """Wait until every player that ever enqueued has its match; they answer start_loading at once."""
        reached = asyncio.Event()
        waiting = [player for player in self._players[: self._used] if not player.found]
        wanted = Goal(b"match_found", len(waiting), reached.set)
        for player in waiting:
            player.goal = wanted
        try:
            async with asyncio.timeout(deadline_seconds if waiting else 0):
                await reached.wait()
        except TimeoutError:
            pass
        return {"left": wanted.left}

    async def journeys(self) -> Answer:
        """What the players of the last run noted, in µs since its beginning; null where nothing came."""

        def noted(moment: float) -> int | None:
            return round((moment - self._began) * 1e6) if moment else None

        return {
            "journeys": [
                [*map(noted, (p.due, p.sent, p.queued, p.started, p.found)), p.session.decode()] for p in self._last
            ],
            "errors": sum(p.errors for p in self._last),
        }

    async def close(self, deadline_seconds: float) -> Answer:
        """Close every connection and forget it."""
        for player in self._players:
            player.close()
        deadline = time.monotonic() + deadline_seconds
        while any(p.open for p in self._players) and time.monotonic() < deadline:  # noqa: ASYNC110 - too many for events
            await asyncio.sleep(0.01)
        stuck = [player for player in self._players if player.open]
        for player in stuck:
            player.transport.abort()
        self._players, self._last, self._used = [], [], 0
        gc.collect()
        return {"aborted": len(stuck)}

    async def _enqueue(self, goal: Goal, at: Sequence[float] | None) -> None:
        self._began = time.monotonic()
        if at is None:
            for player in self._last:
                player.enqueue(self._began, goal)
            return
        for offset, player in zip(at, self._last, strict=True):
            due = self._began + offset
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            player.enqueue(due, goal)


async def serve() -> None:
    """Carry out commands until stdin ends."""
    worker = Worker()
    methods = (worker.connect, worker.run, worker.release, worker.await_matches, worker.journeys, worker.close)
    await serve_commands({method.__name__: method for method in methods})


if __name__ == "__main__":
    run_process(serve)
