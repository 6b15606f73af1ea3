"""Writes the snapshots of running rooms. A tick only leaves a text here; it never waits for a store."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.presence.interface import PresenceUnavailable
from dedicated_server_stub.recovery.cold_writer import ColdWriter
from dedicated_server_stub.recovery.leases import HotSnapshots
from dedicated_server_stub.recovery.snapshot import capture
from dedicated_server_stub.rooms.commands import Stored
from dedicated_server_stub.rooms.room import Room

_log: FilteringBoundLogger = structlog.get_logger()

COLD_SECONDS = 60.0


class RoomKeeper:
    """Keeps one room: a hot snapshot every `seconds` and for each message that must arrive, a cold one a minute.

    A room holds such a message back until the snapshot that has it is stored; then no crash can undo what its players
    were told. Where the store fails, messages go out at once, and a crash may cost them.

    Args:
        room: the room.
        hot: where hot snapshots go.
        cold: where cold ones go, if anywhere.
        seconds: between two hot ones.
        clock: seconds, never going back.
        on_kept: called once, after the first write: from now on there is something to recover.
        on_displaced: called once, when another process has the lease of the room: this one must not run it.
    """

    def __init__(
        self,
        room: Room,
        hot: HotSnapshots,
        cold: ColdWriter | None,
        *,
        seconds: float,
        clock: Callable[[], float],
        on_kept: Callable[[str], None],
        on_displaced: Callable[[str], None],
    ) -> None:
        self._room = room
        self._hot = hot
        self._cold = cold
        self._seconds = seconds
        self._clock = clock
        self._on_kept = on_kept
        self._on_displaced = on_displaced
        self._kept = False
        self._due = clock()
        self._revision = 0  # of the newest text
        self._text = ""
        self._taken = asyncio.Event()  # there is a text that is not written yet
        self._failing = False

    def after_tick(self, room: Room) -> None:
        """Take a snapshot where it is time, or something waits for it. The newest wins."""
        now = self._clock()
        if room.revision == self._revision and now < self._due:
            return
        self._due = now + self._seconds
        self._revision = room.revision
        self._text = capture(room)
        self._taken.set()
        if self._failing:
            room.submit(Stored(room.revision))

    async def run(self) -> None:
        """Write until cancelled, or until another process has the room."""
        async with asyncio.TaskGroup() as tasks:
            cold = tasks.create_task(self._take_cold())
            await self._write_hot()
            cold.cancel()

    async def _write_hot(self) -> None:
        while True:
            await self._taken.wait()
            self._taken.clear()
            revision = self._revision
            try:
                held = await self._hot.write(self._room.session_id, self._text)
            except PresenceUnavailable as error:
                if not self._failing:
                    _log.warning("snapshot_not_written", session_id=self._room.session_id, reason=str(error))
                self._failing = True
            else:
                self._failing = False
                if not held:
                    _log.error("room_displaced", session_id=self._room.session_id)
                    self._on_displaced(self._room.session_id)
                    return
            self._room.submit(Stored(revision))
            if not self._kept:
                self._kept = True
                self._on_kept(self._room.session_id)

    async def _take_cold(self) -> None:
        while self._cold is not None:
            await asyncio.sleep(COLD_SECONDS)
            self._cold.keep(self._room.session_id, self._text)


class Keepers:
    """A watcher: each room of this process is kept as long as it runs.

    Args:
        hot: where hot snapshots go.
        cold: where cold ones go, if anywhere.
        seconds: between two hot ones.
        on_kept: called with the session of each room after its first write, whatever has come of that.
        on_displaced: called with the session of a room that another process has.
    """

    def __init__(
        self,
        hot: HotSnapshots,
        cold: ColdWriter | None,
        *,
        seconds: float,
        on_kept: Callable[[str], None],
        on_displaced: Callable[[str], None],
    ) -> None:
        self._hot = hot
        self._cold = cold
        self._seconds = seconds
        self._on_kept = on_kept
        self._on_displaced = on_displaced
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def opened(self, room: Room) -> None:
        """Keep a room from its first tick on."""
        room.keeper = keeper = RoomKeeper(
            room,
            self._hot,
            self._cold,
            seconds=self._seconds,
            clock=asyncio.get_running_loop().time,
            on_kept=self._on_kept,
            on_displaced=self._on_displaced,
        )
        task = self._tasks[room.session_id] = asyncio.create_task(keeper.run(), name=room.session_id)
        task.add_done_callback(self._ended)

    def closed(self, room: Room) -> None:
        """Keep it no more: hot snapshots are forgotten in time, the cold one at once."""
        task = self._tasks.pop(room.session_id)
        task.cancel()
        if self._cold is not None:
            # Not before its task has ended, which could still have a snapshot written.
            task.add_done_callback(partial(_forget, self._cold))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug ends its own room, as one of the rules does: what it holds back would never be sent.
            _log.error("keeper_crashed", session_id=task.get_name(), exc_info=error)
            self._on_displaced(task.get_name())


def _forget(cold: ColdWriter, ended: asyncio.Task[None]) -> None:
    cold.forget(ended.get_name())
