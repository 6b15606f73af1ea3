"""What players were told over their channels, and what servers made: one story. Numbers are docs/reliability.md's."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.shared.look import Look
from tests.shared.stories import Story
from tests.simulation.servers import SimulatedServer


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
        self._told: dict[str, Story] = {}

    def forget(self) -> None:
        """Redis has lost its data: what players are told next contradicts nothing."""
        for story in self._told.values():
            story.forget()

    def hear(self, player: str, data: bytes) -> None:
        """1, 2 and 9: each frame follows from the one before."""
        frame: dict[str, Any] = json.loads(data)
        for violation in self._told.setdefault(player, Story(self._sizes)).hear(player, frame):
            self._on_violation(violation)
        if frame["type"] == "match_found":
            self._hear_match(player, frame)

    def last_reason(self, player: str) -> str:
        """Why the last thing said to this player was said; empty where it gave no reason, or nobody knows it."""
        story = self._told.get(player)
        return story.reason if story and story.known else ""

    def contradictions(self, look: Look) -> Iterator[str]:
        """4: each record says what its player was told last."""
        for player, story in self._told.items():
            if contradiction := story.contradiction(player, look.players.get(player)):
                yield contradiction

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
