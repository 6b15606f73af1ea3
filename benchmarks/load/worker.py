"""The load process: opens connections and drives players as it is told (see command_loop.py).

It does as little as it can while a run is timed: what it noted is fetched afterwards with `journeys`.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Sequence
from itertools import cycle

from benchmarks.load.command_loop import Answer, run_process, serve_commands
from benchmarks.load.players import Goal, Player

_CONNECT_SECONDS = 120.0


class Worker:
    """Holds the connections, in the order in which they were opened. A run takes the next ones that were not used."""

    def __init__(self) -> None:
        self._players: list[Player] = []
        self._used = 0
        self._last: list[Player] = []  # those of the last run
        self._done: list[list[int | str | None]] = []  # journeys of the last run, of players that went on to another
        self._began = 0.0
        self._serial = 0

    async def connect(self, addresses: Sequence[str], path: str, count: int, game_mode: str, in_flight: int) -> Answer:
        """Open connections to a path, round robin over `host:port` addresses, so many handshakes at a time."""
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
                tasks.create_task(self._open(addresses, path, game_mode, on_opened))
            await everyone.wait()
        return {"seconds": time.monotonic() - began, "opened": sum(player.open for player in ended)}

    async def reconnect(self, address: str, game_mode: str, in_flight: int, deadline_seconds: float) -> Answer:
        """Have the players of the last run, whose node has died, resume at another, until they are queued there."""
        lost, began = self._last, time.monotonic()
        self._began, self._last, self._done = began, [], []
        reached, room = asyncio.Event(), asyncio.Semaphore(in_flight)
        wanted = Goal(b"queued", len(lost), reached.set)

        async def go_on(earlier: Player) -> None:
            def on_opened(player: Player) -> None:
                if player.open:
                    room.release()
                    player.resume(earlier, began, wanted)

            player = Player(address, earlier.player_id, game_mode, on_opened)
            self._last.append(player)
            await self._dial(player)

        try:
            async with asyncio.timeout(deadline_seconds), asyncio.TaskGroup() as tasks:
                for player in lost:
                    await room.acquire()
                    tasks.create_task(go_on(player))
                await reached.wait()
        except TimeoutError:
            pass  # whoever is left is counted
        self._players = self._last
        self._used = len(self._last)
        return {"left": wanted.left}

    async def _open(
        self, addresses: Sequence[str], path: str, game_mode: str, on_opened: Callable[[Player], None]
    ) -> None:
        self._serial += 1
        address = addresses[self._serial % len(addresses)]
        player = Player(address, f"load-{os.getpid()}-{self._serial}", game_mode, on_opened, path)
        self._players.append(player)
        await self._dial(player)

    @staticmethod
    async def _dial(player: Player) -> None:
        host, _, port = player.address.rpartition(":")
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
        """Let the next `count` players enqueue, all at once or `at` these seconds, and wait for their `goal` frame.

        Where `at` has more moments than there are players, they enqueue in turn, again and again.
        """
        self._last = self._players[self._used : self._used + count]
        self._used += count
        self._done = []
        reached = asyncio.Event()
        wanted = Goal(goal.encode(), len(self._last if at is None else at), reached.set, load_at_once, echoes)
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
        """What those who enqueued in the last run noted, in µs since its beginning; null where nothing came."""
        return {
            "journeys": [*self._done, *(self._noted(player) for player in self._last if player.due)],
            "errors": sum(p.errors for p in self._last),
        }

    def _noted(self, player: Player) -> list[int | str | None]:
        moments = (player.due, player.sent, player.queued, player.started, player.found)
        since = [round((moment - self._began) * 1e6) if moment else None for moment in moments]
        return [*since, player.session.decode()]

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
        for offset, player in zip(at, cycle(self._last), strict=False):
            due = self._began + offset
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if player.due:
                if not player.found:
                    return  # more come than are served; whoever did not get its turn counts as left
                self._done.append(self._noted(player))
                player.begin_anew()
            player.enqueue(due, goal)


async def serve() -> None:
    """Carry out commands until stdin ends."""
    worker = Worker()
    await serve_commands(
        {
            method.__name__: method
            for method in (
                worker.connect,
                worker.run,
                worker.release,
                worker.await_matches,
                worker.reconnect,
                worker.journeys,
                worker.close,
            )
        }
    )


if __name__ == "__main__":
    run_process(serve)
