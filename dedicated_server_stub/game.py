"""The life of the sessions: ended in time, with their players told and the end reported."""

import asyncio
from collections.abc import Callable

from dedicated_server_stub.rooms import Rooms, Seat
from dedicated_server_stub.sessions import SessionRegistry

# Ends are carried out in steps, so that thousands of short sessions do not wake the loop thousands of times.
STEP_SECONDS = 0.01


class Game:
    """Ties the sessions to the sockets of their players and to the reports of their end.

    Args:
        sessions: the registry.
        report_end: told the id of every session that ends, once.
        ends_when_left: end a session when the last of its connected players leaves.

    """

    def __init__(self, sessions: SessionRegistry, *, report_end: Callable[[str], None], ends_when_left: bool) -> None:
        self.sessions = sessions
        self.rooms = Rooms()
        self._report_end = report_end
        self._ends_when_left = ends_when_left
        self._emptied = asyncio.Event()

    def end(self, session_id: str) -> None:
        """End a session at once; without effect when it is over already."""
        if self.sessions.end(session_id) is None:
            return
        self.rooms.end(session_id)
        self._report_end(session_id)
        if not len(self.sessions):
            self._emptied.set()

    def end_all(self) -> None:
        """End every running session."""
        for session_id in self.sessions.live_ids():
            self.end(session_id)

    def leave(self, session_id: str, seat: Seat) -> None:
        """Take a player's connection out of its session."""
        if self.rooms.leave(session_id, seat) and self._ends_when_left:
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
        """Give the running sessions some time to end by themselves, then end them."""
        if len(self.sessions):
            try:
                async with asyncio.timeout(seconds):
                    await self._emptied.wait()
            except TimeoutError:
                self.end_all()
