"""The rules of the sample game, and nothing else: players move in a square, tag each other and score.

A studio replaces this file. It knows no sockets, no sessions and no clock but its ticks, and every outcome follows from
the calls alone. Lengths and angles are whole thousandths (of a unit, of a radian), so that no two machines round
differently and both forms of the frames carry the same.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SCALE = 1000  # thousandths in a unit
HALF_SIDE = 50 * SCALE  # the square reaches from -50 to 50 in x and y
CEILING = 10 * SCALE  # z lies between 0 and 10
SPEED = 12 * SCALE  # thousandths of a unit a second
TAG_RANGE = 3 * SCALE
TAG_COOLDOWN_SECONDS = 1.0
WINNING_SCORE = 100
# Moves arrive in bunches after a hiccup of the network: a player may catch up with this much time, and no more.
CATCH_UP_SECONDS = 0.25

BOUNDS = {"x": (-HALF_SIDE, HALF_SIDE), "y": (-HALF_SIDE, HALF_SIDE), "z": (0, CEILING)}


class Reason(StrEnum):
    """Why an intent is rejected."""

    OUT_OF_BOUNDS = "out_of_bounds"
    TOO_FAST = "too_fast"
    COOLDOWN = "cooldown"
    TOO_FAR = "too_far"
    NO_SUCH_PLAYER = "no_such_player"
    OLD_SEQ = "old_seq"  # the room's own: the intent is not newer than the last one it applied


@dataclass(slots=True)
class Player:
    """One player in the world. `changed` holds the tick of the last change of each field in `FIELDS`."""

    player_id: str
    team: str | None
    number: int  # in the order of coming, a short name in the binary form
    x: int = 0
    y: int = 0
    z: int = 0
    yaw: int = 0
    score: int = 0
    seq: int = 0  # of the last intent that was applied
    reach: float = 0.0  # how far it may move now, in thousandths of a unit
    tags_at_tick: int = 0  # the first tick at which it may tag again
    changed: dict[str, int] = field(default_factory=dict)

    def set(self, tick: int, **values: Any) -> None:
        """Take new values over, and note those that differ."""
        for name, value in values.items():
            if getattr(self, name) != value:
                setattr(self, name, value)
                self.changed[name] = tick


FIELDS = ("x", "y", "z", "yaw", "score", "seq", "team", "number")


@dataclass(kw_only=True)
class World:
    """The state of one game, as plain data: a world made of the same fields goes on as this one would.

    The room calls it in the order of the commands, then `step` once a tick.
    """

    tick_hz: float
    tick: int = 0
    players: dict[str, Player] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)  # of those who left, too

    def __post_init__(self) -> None:
        """Derive what the rules need in ticks."""
        self._reach_per_tick = SPEED / self.tick_hz
        self._longest_reach = max(SPEED * CATCH_UP_SECONDS, 2 * self._reach_per_tick)
        self._cooldown_ticks = math.ceil(TAG_COOLDOWN_SECONDS * self.tick_hz)

    def enter(self, player_id: str, team: str | None) -> Player:
        """Put a player on its starting place: those who come one after another stand on a spiral."""
        number = len(self.points)
        angle, distance = 2.4 * number, min(1 + number, 40) * SCALE
        x, y = round(distance * math.cos(angle)), round(distance * math.sin(angle))
        player = Player(player_id, team, number, x=x, y=y)
        player.changed = dict.fromkeys(FIELDS, self.tick)
        player.reach = self._longest_reach
        player.score = self.points.setdefault(player_id, 0)
        self.players[player_id] = player
        return player

    def leave(self, player_id: str) -> None:
        """Take a player out; its score stays in the result."""
        self.players.pop(player_id, None)

    def move(self, player: Player, *, x: int, y: int, z: int, yaw: int) -> Reason | None:
        """Move a player to a place that it can reach by now."""
        for name, value in (("x", x), ("y", y), ("z", z)):
            low, high = BOUNDS[name]
            if not low <= value <= high:
                return Reason.OUT_OF_BOUNDS
        distance = math.dist((player.x, player.y, player.z), (x, y, z))
        if distance > player.reach:
            return Reason.TOO_FAST
        player.reach -= distance
        player.set(self.tick, x=x, y=y, z=z, yaw=yaw)
        return None

    def tag(self, player: Player, target_id: str) -> Reason | None:
        """Tag another player who is near, for a point."""
        target = self.players.get(target_id)
        if target is None or target is player:
            return Reason.NO_SUCH_PLAYER
        if self.tick < player.tags_at_tick:
            return Reason.COOLDOWN
        if math.dist((player.x, player.y, player.z), (target.x, target.y, target.z)) > TAG_RANGE:
            return Reason.TOO_FAR
        player.tags_at_tick = self.tick + self._cooldown_ticks
        player.set(self.tick, score=player.score + 1)
        self.points[player.player_id] = player.score
        return None

    def step(self) -> None:
        """Let one tick of time pass."""
        self.tick += 1
        for player in self.players.values():
            player.reach = min(player.reach + self._reach_per_tick, self._longest_reach)

    @property
    def won(self) -> bool:
        """Whether somebody has reached the winning score."""
        return any(score >= WINNING_SCORE for score in self.points.values())

    def scores(self) -> dict[str, int]:
        """The points of everybody who has played."""
        return dict(self.points)

    def result(self) -> dict[str, Any]:
        """What is reported at the end: all scores, and who has the most (nobody, when several do)."""
        best = max(self.points.values(), default=0)
        leaders = [player_id for player_id, score in self.points.items() if score == best]
        return {"scores": self.scores(), "winner": leaders[0] if len(leaders) == 1 else None}
