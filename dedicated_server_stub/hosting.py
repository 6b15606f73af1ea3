"""The life of the sessions: ended in time, with their players told and the end reported."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from dedicated_server_stub.sessions import Placed, Refusal, Session, SessionRegistry

# Ends are carried out in steps, so that thousands of short sessions do not wake the loop thousands of times.
STEP_SECONDS = 0.01
# How long the stop waits for players to acknowledge the end of their games.
FAREWELL_SECONDS = 2.0

Result: TypeAlias = dict[str, Any] | None
ReportEnd: TypeAlias = Callable[[str, Result], None]


class SessionRooms(Protocol):
    """Where the rooms of the sessions are: in this process, or in workers."""

    def report_to(self, *, over: Callable[[str], None], ended: ReportEnd) -> None:
        """Name whom to tell: `over`, that a game ends by itself; `ended`, what has come of a session, once."""

    async def run(self) -> None:
        """Do what they need, until cancelled."""

    async def started(self) -> None:
        """Wait until they take sessions."""

    async def prepare(self, session: Session) -> None:
        """Have everything ready for the players of a session; without effect when it is."""

    def address(self, session_id: str) -> str:
        """Where the players of a session connect."""

    def present(self, session_id: str) -> list[str] | None:
        """Who is connected; None where this process does not know."""

    def end(self, session_id: str) -> None:
        """End the game of a session, if it has begun; `ended` is told, now or soon."""

    async def close(self, seconds: float) -> None:
        """Wait until the ended games have told their players, for some time at most."""


class Host:
    """Ties the sessions to their rooms and to the reports of their end.

    Args:
        sessions: the registry.
        rooms: where the games are played.
        report_end: told the id of every session that ends, once, and the result of its game if somebody has played it.

    """

    def __init__(self, sessions: SessionRegistry, rooms: SessionRooms, *, report_end: ReportEnd) -> None:
        self.sessions = sessions
        self.rooms = rooms
        self._report_end = report_end
        self._emptied = asyncio.Event()
        rooms.report_to(over=self.end, ended=self._ended)

    async def place(self, *, key: str, session_id: str, game_mode: str, players: tuple[str, ...]) -> Placed | Refusal:
        """Create a session, or find the one that `key` has already; its players may come once this returns."""
        placed = self.sessions.create(key=key, session_id=session_id, game_mode=game_mode, players=players)
        session = self.sessions.get(placed.session_id) if isinstance(placed, Placed) else None
        if session is not None:
            await self.rooms.prepare(session)
        return placed

    def end(self, session_id: str) -> None:
        """End a session; without effect when it is over already."""
        if self.sessions.get(session_id) is not None:
            self.rooms.end(session_id)

    def _ended(self, session_id: str, result: Result) -> None:
        if self.sessions.end(session_id) is None:
            return
        self._report_end(session_id, result)
        if not len(self.sessions):
            self._emptied.set()

    def end_all(self) -> None:
        """End every running session."""
        for session_id in self.sessions.live_ids():
            self.end(session_id)

    async def run(self) -> None:
        """End the sessions whose time is up. Runs until it is cancelled, or returns when time ends none."""
        while (seconds := self.sessions.seconds_until_due()) is not None:
            await asyncio.sleep(max(seconds, STEP_SECONDS))
            for session_id in self.sessions.due():
                self.end(session_id)

    def start_draining(self) -> None:
        """Take no new session from now on."""
        self.sessions.draining = True
        self._emptied.clear()

    async def drained(self, seconds: float) -> None:
        """Give the running sessions some time to end by themselves, then end them, and let their players know."""
        if len(self.sessions):
            try:
                async with asyncio.timeout(seconds):
                    await self._emptied.wait()
            except TimeoutError:
                await self._end_rest()
        await self.rooms.close(FAREWELL_SECONDS)

    async def _end_rest(self) -> None:
        self.end_all()
        with suppress(TimeoutError):  # workers answer soon; what one does not is not worth more time
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._emptied.wait()
