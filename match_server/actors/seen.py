"""What a connection's client has been told of its player's journey. Redis knows better; this knows what was said."""

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from match_server.store import journey

_STATE_AFTER = {
    "party": "gathering",
    "queued": "queued",
    "start_loading": "loading",
    "match_cancelled": "queued",  # the one at fault gets `dequeued` instead
    "match_found": "matched",
    "dequeued": "over",
}


@dataclass(slots=True)
class Seen:
    """One journey, as far as its frames have been delivered on one connection."""

    player_id: str
    game_mode: str
    resume_token: str = ""
    enqueued_at: str = "0"  # as Redis gave it
    epoch: str = ""  # Redis' epoch when it last spoke of this journey
    seq: int = 0  # of the last frame
    claimed_seq: int = 0  # of the first one: later claims to this player, by other connections, have higher ones
    loading_session_id: str = ""  # of the last frame, if it named one
    last: tuple[str, str] = ("", "")  # the last frame's type and loading session
    behind: bool = False  # frames may have been lost, and the record could not be read since
    state: str = (
        "queued"  # gathering, queued, loading, matched, over; unsure while Redis has not said whose player it is
    )
    waits_since: int = 0  # seq of the `queued` from which on its wait is counted; 0 where that is not known
    part: str = ""  # of its ticket, as its token has it; empty in a mode that is drawn at random

    @property
    def running(self) -> bool:
        """Whether the player is, or may be, in a queue or a match that is not found yet."""
        return self.state in {"gathering", "queued", "loading", "unsure"}

    def accept(self, player_id: str, data: bytes) -> tuple[str, bytes] | None:
        """Take note of a frame that is about to be delivered.

        Returns:
            Its type, and what to deliver; None when it must not be: it is another player's, it is not known yet to be
            this connection's to see, the client knows what it says, it ends a match that the client was never told
            of while none is known to it, or it is of another journey. Then this one is `behind`: it must be over.
        """
        if player_id != self.player_id or self.state not in {"gathering", "queued", "loading"}:
            return None  # what comes after the end is told of another connection's journey, token and all
        frame = from_json(data)
        if frame["seq"] <= self.seq:
            return None
        kind: str = frame["type"]
        if self._is_of_another_journey(kind, frame):
            self.behind = True  # whose token this client must not see; nor anything else before the record was read
            return None
        self.seq = frame["seq"]
        if kind == "queued" and (self.state == "gathering" or not self.claimed_seq):
            self.waits_since = self.seq
        self.claimed_seq = self.claimed_seq or self.seq
        session_id: str = frame.get("loading_session_id", "")
        if self.last == (kind, session_id) and kind != "party":
            return None  # what came between was lost, and is over; or another connection had resumed meanwhile
        if kind == "match_cancelled" and session_id != self.loading_session_id:
            if self.state != "loading":
                return None
            # A record keeps the last cancellation alone: the match that this client loads was over even before.
            session_id = self.loading_session_id
            data = json.dumps(frame | {"loading_session_id": session_id}, separators=(",", ":")).encode()
        if kind == "party":  # one frame for all members; each resumes with a token of its own
            data = json.dumps(frame | {"resume_token": self.resume_token}, separators=(",", ":")).encode()
        self.last = (kind, session_id)
        self.loading_session_id = session_id
        self.state = _STATE_AFTER.get(kind, self.state)
        return kind, data

    def _is_of_another_journey(self, kind: str, frame: Mapping[str, Any]) -> bool:
        if kind == "party":
            return bool(frame["party_id"] != self.part.partition(" ")[0])
        return kind == "queued" and bool(frame["resume_token"] != self.resume_token)

    def take_wait(self, kind: str) -> float | None:
        """With the frame that ends its wait, the seconds it lasted; None with any other, or where it is not known."""
        if kind == "queued":
            return None
        since, self.waits_since = self.waits_since, 0  # one that goes on after a cancelled match is no usual one
        return (self.seq - since) / 1_000_000 if since and kind == "start_loading" else None

    def look(self, connection: str) -> journey.CatchUp:
        """Ask for what came after the last frame, if this connection still owns the player."""
        return journey.CatchUp(self.player_id, connection, self.resume_token, self.claimed_seq, self.seq)

    def ending(
        self, connection: str, operation: int, *, left: bool, grace_seconds: float
    ) -> journey.Leave | journey.Hold:
        """Say that the connection has ended: the player leaves, or keeps its place for its grace."""
        if left:
            return journey.Leave(self.player_id, connection, operation, "disconnected")
        return journey.Hold(self.player_id, connection, int(grace_seconds * 1_000_000))

    def reassertion(self, connection: str, node: str, operation: int) -> journey.Reassert:
        """Say all of this to a Redis that may have lost it."""
        return journey.Reassert(
            self.player_id,
            connection,
            node,
            operation,
            self.resume_token,
            self.game_mode,
            self.enqueued_at,
            self.claimed_seq,
            self.seq,
            self.state,
            self.loading_session_id,
            self.epoch,
            self.part,
        )


class LateFrames:
    """Frames read from a player's record, delivered among those that the channel brings meanwhile, each by its `seq`.

    Neither may go first: the channel may have brought earlier frames that the record has forgotten, and later ones
    that overtook the reading on their way.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[int, bytes]] = deque()

    def __bool__(self) -> bool:
        return bool(self._frames)

    def keep(self, frames: Iterable[str]) -> None:
        """Take what a record says, in order."""
        self._frames.extend((from_json(frame)["seq"], frame.encode()) for frame in frames)

    def before(self, frame: bytes) -> list[bytes]:
        """Those whose turn comes before this one."""
        return self._take(from_json(frame)["seq"]) if self._frames else []

    def rest(self) -> list[bytes]:
        """All that are left."""
        return self._take(math.inf)

    def _take(self, before_seq: float) -> list[bytes]:
        taken = []
        while self._frames and self._frames[0][0] < before_seq:
            taken.append(self._frames.popleft()[1])
        return taken
