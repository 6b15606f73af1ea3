"""One player's connection as its room sees it: what waits to be sent, and whether it keeps up. No I/O."""

import asyncio
from collections import deque

from dedicated_server_stub.rooms.close_codes import RoomClose
from dedicated_server_stub.rooms.frames import ENCODERS, Frame
from dedicated_server_stub.rooms.messages import ServerMessage

MAX_WAITING_FRAMES = 256


class Connection:
    """Frames wait here for the writer of the socket, so that a slow client holds up nobody.

    Args:
        player_id: who was let in.
        team: of the player, from its token.
        form: the subprotocol that chose the frames' form.
    """

    def __init__(self, player_id: str, *, team: str | None, form: str) -> None:
        self.player_id = player_id
        self.team = team
        self.form = form
        self.waiting: deque[Frame] = deque()
        self.writing = False  # the writer has taken a frame that the socket has not taken yet
        self.changed = asyncio.Event()
        self.close_code: int | None = None
        self.behind = False  # at the beginning of this tick

    @property
    def keeps_up(self) -> bool:
        """Everything was sent: the next state may follow."""
        return not self.waiting and not self.writing

    def begin_tick(self) -> None:
        """Note whether the client has taken everything of the ticks before."""
        self.behind = not self.keeps_up

    def send(self, message: ServerMessage) -> None:
        """Queue a message for this client alone."""
        self.send_frame(ENCODERS[self.form](message))

    def send_frame(self, frame: Frame) -> None:
        """Queue a frame that may go to others, too; a client with too many waiting is cut off instead."""
        if self.close_code is not None:
            return
        if len(self.waiting) >= MAX_WAITING_FRAMES:
            self.waiting.clear()
            self.close(RoomClose.TOO_SLOW)
            return
        self.waiting.append(frame)
        self.changed.set()

    def close(self, code: int) -> None:
        """Close the connection once the waiting frames are sent."""
        if self.close_code is None:
            self.close_code = code
            self.changed.set()
