"""The rooms of this server: opened by the first player of a session, gone when its game is over."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.game import World
from dedicated_server_stub.metrics import RoomMetrics
from dedicated_server_stub.rooms.close_codes import RoomClose
from dedicated_server_stub.rooms.room import Room, RoomSettings
from dedicated_server_stub.sessions import Session

_log: FilteringBoundLogger = structlog.get_logger()


class Watcher(Protocol):
    """Whoever has to know which rooms there are."""

    def opened(self, room: Room) -> None:
        """A room runs from now on."""

    def closed(self, room: Room) -> None:
        """A room's game is over, or has crashed."""


class Rooms:
    """The rooms of this process, by session. A session that nobody joins has none, and costs nothing.

    Args:
        settings: shared by all rooms.
        address: the base of their address for players.
        watchers: told of each room.
    """

    def __init__(self, settings: RoomSettings, *, address: str = "", watchers: Sequence[Watcher] = ()) -> None:
        self.settings = settings
        self.metrics = RoomMetrics()
        self._address = address
        self._watchers = watchers
        self._on_over: Callable[[str], None] = lambda _: None
        self._on_ended: Callable[[str, dict[str, Any] | None], None] = lambda *_: None
        self._rooms: dict[str, Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.metrics.watch(
            rooms=lambda: len(self._rooms), players=lambda: sum(len(room.present()) for room in self._rooms.values())
        )

    def report_to(self, *, over: Callable[[str], None], ended: Callable[[str, dict[str, Any] | None], None]) -> None:
        """Name whom to tell: `over`, that a game ends by itself; `ended`, what has come of a session."""
        self._on_over, self._on_ended = over, ended

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def get(self, session_id: str) -> Room | None:
        """Find the room of a session that somebody has joined."""
        return self._rooms.get(session_id)

    def open(self, session_id: str) -> Room:
        """Find the room of a session, or open it. Its task ends with the game, or in `close`."""
        room = self._rooms.get(session_id)
        if room is None:
            room = self.make(session_id)
            self.start(room)
        return room

    def make(self, session_id: str, *, world: World | None = None) -> Room:
        """Make a room that does not run yet; `world` is one to go on with."""
        clock = asyncio.get_running_loop().time
        return Room(session_id, self.settings, on_over=self._on_over, metrics=self.metrics, clock=clock, world=world)

    def start(self, room: Room) -> None:
        """Have a room run. Its task ends with the game, or in `close`."""
        self._rooms[room.session_id] = room
        for watcher in self._watchers:
            watcher.opened(room)
        task = asyncio.create_task(room.run(), name=room.session_id)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def address(self, session_id: str) -> str:
        """Where the players of a session connect."""
        return f"{self._address}/play/{session_id}"

    async def run(self) -> None:
        """Nothing to do: each room has a task of its own."""

    async def started(self) -> None:
        """They take sessions from the beginning."""

    async def prepare(self, session: Session) -> None:
        """Players of this session may come. Nothing to do: the first opens the room."""

    def end(self, session_id: str) -> None:
        """End the game of a session, and tell its result; None when nobody has joined."""
        room = self._rooms.pop(session_id, None)
        if room is None:
            self._on_ended(session_id, None)
            return
        for watcher in self._watchers:
            watcher.closed(room)
        self._on_ended(session_id, room.end())

    def present(self, session_id: str) -> list[str]:
        """Who is connected, first come first."""
        room = self._rooms.get(session_id)
        return [] if room is None else room.present()

    async def close(self, seconds: float) -> None:
        """Wait until the ended games have told their players, for some time at most."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug in the rules ends its own room; the others play on.
            _log.error("room_crashed", session_id=task.get_name(), exc_info=error)
            room = self._rooms.pop(task.get_name(), None)
            if room is not None:  # nor has its game a result
                for watcher in self._watchers:
                    watcher.closed(room)
                room.close(RoomClose.CRASHED)
            self._on_over(task.get_name())
