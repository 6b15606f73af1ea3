"""What one player is told must make a story without gaps. Numbers are docs/reliability.md's."""

from collections.abc import Iterator, Mapping
from typing import Any

_STATES_AFTER: Mapping[str, set[str | None]] = {
    "party": {"gathering"},
    "queued": {"queued"},
    "start_loading": {"loading", "allocating"},
    "match_found": {"matched"},
    "dequeued": {None},
}
_NEXT: Mapping[str, set[str]] = {
    "": {"queued", "party"},
    "party": {"party", "queued", "dequeued"},
    "queued": {"start_loading", "dequeued"},
    "start_loading": {"match_cancelled", "match_found", "dequeued"},
    "match_cancelled": {"queued", "party"},  # party: its other members have yet to come back to an emptied Redis
    "match_found": {"queued", "party"},
    "dequeued": {"queued", "party"},
}
_UNKNOWN = "?"  # Redis lost its data: what it says next may be anything


class Story:
    """The frames published for one player, in order."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        """`sizes` are the players of each game mode's matches, 0 where rules decide."""
        self.kind = ""  # of the last frame
        self.loading_session_id = ""
        self.seq = 0
        self.reason = ""  # that the last frame gave
        self._sizes = sizes

    def hear(self, player: str, frame: dict[str, Any]) -> Iterator[str]:
        """1, 2 and 9: each frame follows from the one before. Returns a line for each thing that does not."""
        kind, session_id = frame["type"], frame.get("loading_session_id", "")
        if self.kind != _UNKNOWN:
            if kind not in _NEXT[self.kind]:
                yield f"{player}: told {kind} after {self.kind or 'nothing'}"
            requeued = self.kind == "match_cancelled"
            if kind == "queued" and self.kind != "party" and frame["requeued"] != requeued:
                yield f"{player}: told queued with requeued {frame['requeued']} after {self.kind or 'nothing'}"
            if kind in {"match_found", "match_cancelled"} and session_id != self.loading_session_id:
                yield f"{player}: {kind} of {session_id}, while in {self.loading_session_id}"
        if frame["seq"] <= self.seq:
            yield f"{player}: {kind} has seq {frame['seq']} after {self.seq}"
        if kind in {"start_loading", "match_found"}:
            players = frame["players"]
            size = self._sizes[frame["game_mode"]]
            if size not in {0, len(players)} or len(set(players)) != len(players) or player not in players:
                yield f"{player}: {kind} lists {players}"
        self.kind, self.loading_session_id, self.seq = kind, session_id, frame["seq"]
        self.reason = frame.get("reason", "")

    def forget(self) -> None:
        """Redis has lost its data: what the player is told next contradicts nothing."""
        self.kind = _UNKNOWN

    @property
    def known(self) -> bool:
        """Whether Redis still knows what it said last."""
        return self.kind != _UNKNOWN

    @property
    def state(self) -> str:
        """What a session would say of it to `reassert`; empty when it would not ask."""
        return {"party": "gathering", "queued": "queued", "start_loading": "loading"}.get(self.kind, "")

    def contradiction(self, player: str, record: Mapping[str, str] | None) -> str | None:
        """4: the record says what the player was told last."""
        state = record["state"] if record else None
        if self.kind == "" and state is not None:
            return f"{player}: told nothing, but its record says {state}"
        if self.kind in _STATES_AFTER and state not in _STATES_AFTER[self.kind]:
            return f"{player}: told {self.kind} last, but its record says {state}"
        return None
