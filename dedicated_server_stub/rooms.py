"""Who is connected to which session, and what each of them is yet to be sent. No I/O."""

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from typing import Any

from dedicated_server_stub.sessions import Session
from match_server.protocol import CloseCode

MAX_WAITING_FRAMES = 64


class Seat:
    """One player's connection, seen from the others: frames wait here, so a slow reader holds up nobody."""

    def __init__(self, player_id: str) -> None:
        self.player_id = player_id
        self.close_code: CloseCode | None = None
        self.frames: deque[str] = deque()
        self.changed = asyncio.Event()

    def send(self, frame: str) -> None:
        """Queue a frame; a player with too many waiting is cut off instead."""
        if self.close_code is not None:
            return
        if len(self.frames) >= MAX_WAITING_FRAMES:
            self.frames.clear()
            self.close(CloseCode.TOO_SLOW)
            return
        self.frames.append(frame)
        self.changed.set()

    def close(self, code: CloseCode) -> None:
        """Close the connection once the waiting frames are sent."""
        if self.close_code is None:
            self.close_code = code
            self.changed.set()


class Rooms:
    """The connected players of every session that has any."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Seat]] = {}

    def present(self, session_id: str) -> list[str]:
        """List who is connected, first come first."""
        return list(self._rooms.get(session_id, {}))

    def enter(self, session: Session, player_id: str) -> Seat:
        """Seat a player of the session. A newer connection of the same player replaces the older."""
        room = self._rooms.setdefault(session.session_id, {})
        older = room.get(player_id)
        seat = room[player_id] = Seat(player_id)
        seat.send(
            _frame(
                "welcome",
                session_id=session.session_id,
                players=session.players,
                present=list(room),
            )
        )
        if older is not None:
            older.close(CloseCode.TAKEN_OVER)
        else:
            joined = _frame("joined", player_id=player_id)
            _send_to((other for other in room.values() if other is not seat), joined)
        return seat

    def say(self, session_id: str, seat: Seat, text: str) -> None:
        """Send a player's text to everybody in the session, the player included."""
        room = self._rooms.get(session_id, {})
        if room.get(seat.player_id) is seat:
            _send_to(room.values(), _frame("message", **{"from": seat.player_id, "text": text}))

    def leave(self, session_id: str, seat: Seat) -> bool:
        """Take a seat away and tell the others; True when that was the last one of the session."""
        room = self._rooms.get(session_id, {})
        if room.get(seat.player_id) is not seat:  # taken over, or the session is over
            return False
        del room[seat.player_id]
        _send_to(room.values(), _frame("left", player_id=seat.player_id))
        if not room:
            del self._rooms[session_id]
        return not room

    def end(self, session_id: str) -> None:
        """Tell everybody in the session that it is over, and close their connections."""
        ended = _frame("ended")
        for seat in self._rooms.pop(session_id, {}).values():
            seat.send(ended)
            seat.close(CloseCode.NORMAL)


def _frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))


def _send_to(seats: Iterable[Seat], frame: str) -> None:
    for seat in seats:
        seat.send(frame)
