"""Simulated players of the load generator: send the journey's messages, note when each frame came."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load.websocket import WebSocketClient, text_frame

QUEUED, START_LOADING, MATCH_FOUND = b"queued", b"start_loading", b"match_found"
PATH = "/ws/"
ECHO = b"enqueue"  # what the bare endpoint sends back
_TYPE, _SESSION, _TOKEN = b'"type":"', b'"loading_session_id":"', b'"resume_token":"'


@dataclass(slots=True)
class Goal:
    """What a run waits for: `left` counts the players that have not seen the frame `kind` yet."""

    kind: bytes
    left: int
    reached: Callable[[], None]
    load_at_once: bool = True  # answer start_loading with loading_complete as it comes
    echoes: int = 1  # of the goal's frame; after each but the last the player says `enqueue` again


class Player(WebSocketClient):
    """One player on one connection. Times are seconds of the monotonic clock; 0 stands for not yet."""

    def __init__(
        self, address: str, player_id: str, game_mode: str, opened: Callable[["Player"], None], path: str = PATH
    ) -> None:
        """`opened` is called when the handshake is done, and again when the connection is lost."""
        super().__init__(address, path)
        message = {"type": "enqueue", "player_id": player_id, "game_mode": game_mode}
        self._enqueue = text_frame(json.dumps(message, separators=(",", ":")).encode())
        self._opened = opened
        self.player_id = player_id
        self.queued_frame = b""  # the last; it has what one resumes with
        self._echoes = 0
        self.goal: Goal | None = None
        self.due = self.sent = self.queued = self.started = self.found = 0.0
        self.session = b""
        self.errors = 0

    def on_open(self) -> None:
        """Tell the worker."""
        self._opened(self)

    def on_lost(self) -> None:
        """Tell the worker."""
        self._opened(self)

    def enqueue(self, due: float, goal: Goal) -> None:
        """Join the queue now; latencies count from `due`."""
        self.goal = goal
        self.due = due
        self.sent = time.monotonic()
        self._echoes = goal.echoes
        self.transport.write(self._enqueue)

    def resume(self, earlier: "Player", due: float, goal: Goal) -> None:
        """Go on with the journey of an earlier connection; latencies count from `due`."""
        token = text_field(earlier.queued_frame, _TOKEN)
        self.goal = goal
        self.due = due
        self.sent = time.monotonic()
        message = {"type": "resume", "player_id": self.player_id, "resume_token": token.decode()}
        self.transport.write(text_frame(json.dumps(message, separators=(",", ":")).encode()))

    def begin_anew(self) -> None:
        """Forget the last journey."""
        self.due = self.sent = self.queued = self.started = self.found = 0.0
        self.session = b""

    def loading_complete(self) -> None:
        """Say that this player has loaded."""
        self.transport.write(text_frame(b'{"type":"loading_complete","loading_session_id":"' + self.session + b'"}'))

    def on_text(self, payload: bytes) -> None:
        """Note the time, and play on."""
        now = time.monotonic()
        kind = text_field(payload, _TYPE)
        goal = self.goal
        if kind == QUEUED:
            self.queued = self.queued or now
            self.queued_frame = payload
        elif kind == START_LOADING:
            self.started = now
            self.session = text_field(payload, _SESSION)
            if goal and goal.load_at_once:
                self.loading_complete()
        elif kind == MATCH_FOUND:
            self.found = now
        elif kind == ECHO:
            self._echoes -= 1
            if self._echoes > 0:
                self.transport.write(self._enqueue)
                return
        else:
            self.errors += kind == b"error"
            return
        if goal and kind == goal.kind:
            goal.left -= 1
            if goal.left <= 0:
                goal.reached()


def text_field(payload: bytes, marker: bytes) -> bytes:
    """The value of a string field of a compact JSON object, `marker` being `"name":"`; else read as JSON."""
    start = payload.find(marker)
    if start < 0:
        return str(json.loads(payload)[marker.decode().strip('":')]).encode()
    start += len(marker)
    return payload[start : payload.index(b'"', start)]
