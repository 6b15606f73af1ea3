"""What a connection's client has been told of its player's journey. Redis knows better; this knows what was said."""

import json
from dataclasses import dataclass

_STATE_AFTER = {
    "queued": "queued",
    "start_loading": "loading",
    "match_cancelled": "queued",  # the one at fault gets `dequeued` instead
    "match_found": "matched",
    "dequeued": "over",
}


@dataclass(slots=True)
class Told:
    """One journey, as far as its frames have been delivered on one connection."""

    player_id: str
    game_mode: str
    resume_token: str = ""
    enqueued_at: str = "0"  # as Redis gave it
    epoch: str = ""  # Redis' epoch when it last spoke of this journey
    seq: int = 0  # of the last frame
    loading_session_id: str = ""  # of the last frame, if it named one
    state: str = "queued"  # queued, loading, matched or over; or unsure, while Redis has not said whose player it is

    @property
    def running(self) -> bool:
        """Whether the player is, or may be, in a queue or a match that is not found yet."""
        return self.state in {"queued", "loading", "unsure"}

    def accept(self, player_id: str, data: bytes) -> str | None:
        """Take note of a frame that is about to be delivered.

        Returns:
            Its type; None when it must not be: it is another player's, it is not known yet to be this connection's to
            see, the client had it before, or it ends a match that the client was never told of (the `queued` that
            follows says all).
        """
        if player_id != self.player_id or self.state == "unsure":
            return None
        frame = json.loads(data)
        if frame["seq"] <= self.seq:
            return None
        self.seq = frame["seq"]
        kind: str = frame["type"]
        if kind == "match_cancelled" and frame["loading_session_id"] != self.loading_session_id:
            return None
        self.loading_session_id = frame.get("loading_session_id", "")
        self.state = _STATE_AFTER.get(kind, self.state)
        return kind
