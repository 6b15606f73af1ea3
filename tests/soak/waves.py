"""What a crowd tells of each of its waves: one line of JSON, from the crowd's process to the soak."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from test_client.player import LEFT_WAITING
from test_client.summary import is_expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """One player's end."""

    behaviour: str
    fate: str
    places_lost: int = 0

    @property
    def expected(self) -> bool:
        """It is an end that the behaviour should come to."""
        return is_expected(self.behaviour, self.fate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A match as its players were told of it."""

    session_id: str
    loading_session_id: str
    server_address: str
    players: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Players who came together. Times are of the monotonic clock, which all processes share."""

    name: str
    game_mode: str
    match_size: int
    began: float
    ended: float
    players: Mapping[str, Player]
    matches: tuple[Match, ...]
    violations: tuple[str, ...] = ()
    errors: Mapping[str, int]
    broken_links: tuple[float, ...] = ()  # when links were lost that no player had cut itself
    p99_ms: float | None = None  # from enqueue to match_found, over normal players

    def describe(self) -> str:
        """For people, in a line."""
        fates = Counter(player.fate for player in self.players.values())
        listed = ", ".join(f"{fate} {count}" for fate, count in fates.most_common())
        wrong = f", {len(self.violations)} VIOLATIONS" if self.violations else ""
        return f"{self.name}: {len(self.players)} players in {self.ended - self.began:.1f} s: {listed}{wrong}"

    @property
    def left_waiting(self) -> int:
        """How many left the queue because nobody came."""
        return sum(player.fate == LEFT_WAITING for player in self.players.values())


def write_wave(wave: Wave) -> str:
    """One line."""
    return json.dumps(asdict(wave), separators=(",", ":"))


def read_wave(line: str) -> Wave:
    """The wave of that line."""
    fields: dict[str, Any] = json.loads(line)
    return Wave(
        **fields
        | {
            "players": {player_id: Player(**player) for player_id, player in fields["players"].items()},
            "matches": tuple(Match(**match | {"players": tuple(match["players"])}) for match in fields["matches"]),
            "violations": tuple(fields["violations"]),
            "broken_links": tuple(fields["broken_links"]),
        }
    )
