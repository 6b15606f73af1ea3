"""What players were told over their channels, and what servers made: one story. Numbers are docs/reliability.md's."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.simulation.pool_look import Look
from benchmarks.simulation.servers import SimulatedServer

_STATES_AFTER: Mapping[str, set[str | None]] = {
    "queued": {"queued"},
    "start_loading": {"loading", "allocating"},
    "match_found": {"matched"},
    "dequeued": {None},
}
_NEXT: Mapping[str, set[str]] = {
    "": {"queued"},
    "queued": {"start_loading", "dequeued"},
    "start_loading": {"match_cancelled", "match_found", "dequeued"},
    "match_cancelled": {"queued"},
    "match_found": {"queued"},
    "dequeued": {"queued"},
}
UNKNOWN = "?"  # Redis lost its data: what it says next may be anything


@dataclass(slots=True)
class _Said:
    kind: str = ""
    loading_session_id: str = ""
    seq: int = 0
    reason: str = ""  # of its end


@dataclass(frozen=True, slots=True)
class Match:
    """What players were told of a match."""

    session_id: str
    server_address: str
    players: tuple[str, ...]


class Stories:
    """Hears every frame that is published."""

    def __init__(self, sizes: Mapping[str, int], on_violation: Callable[[str], None]) -> None:
        self.matches: dict[str, Match] = {}  # by loading session
        self._sizes = sizes
        self._on_violation = on_violation
        self._said: dict[str, _Said] = {}

    def forget(self) -> None:
        """Redis has lost its data: what players are told next contradicts nothing."""
        for said in self._said.values():
            said.kind = UNKNOWN

    def hear(self, player: str, data: bytes) -> None:
        """1, 2 and 9: each frame follows from the one before."""
        frame: dict[str, Any] = json.loads(data)
        said = self._said.setdefault(player, _Said())
        kind, session_id = frame["type"], frame.get("loading_session_id", "")
        if said.kind != UNKNOWN:
            if kind not in _NEXT[said.kind]:
                self._on_violation(f"{player}: told {kind} after {said.kind or 'nothing'}")
            if kind in {"match_found", "match_cancelled"} and session_id != said.loading_session_id:
                self._on_violation(f"{player}: {kind} of {session_id}, while in {said.loading_session_id}")
        if frame["seq"] <= said.seq:
            self._on_violation(f"{player}: {kind} has seq {frame['seq']} after {said.seq}")
        if kind in {"start_loading", "match_found"}:
            players = frame["players"]
            if len(set(players)) != self._sizes[frame["game_mode"]] or player not in players:
                self._on_violation(f"{player}: {kind} lists {players}")
        if kind == "match_found":
            self._hear_match(player, frame)
        said.kind, said.loading_session_id, said.seq = kind, session_id, frame["seq"]
        said.reason = frame.get("reason", "")

    def last_reason(self, player: str) -> str:
        """Why the last thing said to this player was said; empty where it gave no reason, or nobody knows it."""
        said = self._said.get(player)
        return said.reason if said and said.kind != UNKNOWN else ""

    def contradictions(self, look: Look) -> Iterator[str]:
        """4: each record says what its player was told last."""
        for player, said in self._said.items():
            if said.kind in _STATES_AFTER:
                record = look.players.get(player)
                state = record["state"] if record else None
                if state not in _STATES_AFTER[said.kind]:
                    yield f"{player}: told {said.kind} last, but its record says {state}"

    def _hear_match(self, player: str, frame: dict[str, Any]) -> None:
        """3: all players of a match are told the same."""
        told = Match(frame["session_id"], frame["server_address"], tuple(frame["players"]))
        known = self.matches.setdefault(frame["loading_session_id"], told)
        if known != told:
            self._on_violation(f"{player}: told of {told}, others of {known}")

    def check_servers(self, servers: Mapping[str, SimulatedServer]) -> Iterator[str]:
        """3 and 8: each match is one session, made once, by the server named, for exactly its players."""
        sessions = [match.session_id for match in self.matches.values()]
        if len(set(sessions)) != len(sessions):
            yield f"one session for two matches: {sessions}"
        for loading_session_id, match in self.matches.items():
            server = servers[match.server_address.partition(":")[0]]
            made = server.made.get(match.session_id)
            if made is None or set(made) != set(match.players):
                yield f"match {loading_session_id}: {match}, but its server made it for {made}"
