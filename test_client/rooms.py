"""What the players of a run saw of each other in their rooms: latencies, bytes, rejections, and what was missed."""

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypedDict

# What is moved in the last moment before a player leaves need not reach it; nor others, what it moves itself then.
GRACE_SECONDS = 0.5
_TENTHS = 10_000  # of a millisecond, in a second


class Histogram:
    """Times counted by tenths of a millisecond: a run measures millions."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[int(seconds * _TENTHS)] += 1

    def percentiles_ms(self) -> dict[str, float] | None:
        """The count, p50, p99 and the maximum; None without any."""
        total = self._counts.total()
        if not total:
            return None
        ranks = {"p50": -(-total * 50 // 100), "p99": -(-total * 99 // 100), "max": total}
        found: dict[str, float] = {"count": total}
        seen = 0
        for tenths in sorted(self._counts):
            seen += self._counts[tenths]
            found.update({name: tenths / 10 for name, rank in ranks.items() if name not in found and seen >= rank})
        return found


@dataclass(slots=True)
class Visit:
    """One player in one room, as it was seen by itself. Times are the loop's."""

    player_id: str
    session_id: str
    expected: frozenset[str]  # the players of the match
    seqs: list[int] = field(default_factory=list)  # of its moves, without those that were rejected
    times: list[float] = field(default_factory=list)  # when each was sent
    seen: dict[str, int] = field(default_factory=dict)  # the last seq of each other player
    met: set[str] = field(default_factory=set)
    connected_at: float = 0.0  # of the last connection: what was moved before came with its welcome
    left_at: float = 0.0
    seconds: float = 0.0
    bytes: int = 0
    floods: bool = False  # so that the room drops some of its moves
    reliable: bool = True  # it did not stall, flood or cheat, so it should have seen everything


class RoomsReport(TypedDict):
    """What a run measured in its rooms, as it stands in the JSON document."""

    players: int
    moves: int
    update_latency_ms: dict[str, float] | None  # count, p50, p99, max
    tick_lag_ms: dict[str, float] | None
    bytes_per_second: float  # to each player
    rejections: dict[str, int]  # by reason


@dataclass(slots=True)
class RoomLedger:
    """Everything that the players of a run did and saw in rooms. They share this process and its clock."""

    visits: dict[str, dict[str, Visit]] = field(default_factory=lambda: defaultdict(dict))  # by session, by player
    rejections: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    tick_lag: Histogram = field(default_factory=Histogram)

    def visit(self, session_id: str, player_id: str, expected: Iterable[str]) -> Visit:
        """Begin a player's visit of a room."""
        visit = self.visits[session_id][player_id] = Visit(player_id, session_id, frozenset(expected))
        return visit

    def saw(self, viewer: Visit, player_id: str, seq: int, now: float) -> None:
        """A player has heard that another's moves up to `seq` are applied."""
        before, viewer.seen[player_id] = viewer.seen.get(player_id), seq
        mover = self.visits[viewer.session_id].get(player_id)
        if mover is None or before is None:
            return
        if not viewer.reliable:
            return
        for index in range(bisect.bisect_right(mover.seqs, before), bisect.bisect_right(mover.seqs, seq)):
            self.latency.add(now - mover.times[index])

    def missed(self) -> Iterator[tuple[str, str]]:
        """Each viewer with what it should have seen and did not, or saw and should not."""
        for session_id, visits in self.visits.items():
            for viewer in visits.values():
                for stranger in viewer.met - viewer.expected:
                    yield viewer.player_id, f"{session_id}: saw {stranger}, who is no player of this match"
                for mover in visits.values():
                    checked = mover is not viewer and viewer.reliable and not mover.floods
                    if checked and (text := _unseen(viewer, mover)):
                        yield viewer.player_id, f"{session_id}: {text}"

    def report(self) -> RoomsReport | None:
        """The numbers of a run; None when nobody was in a room."""
        visits = [visit for room in self.visits.values() for visit in room.values() if visit.seconds]
        if not visits:
            return None
        seconds = sum(visit.seconds for visit in visits)
        return {
            "players": len(visits),
            "moves": sum(len(visit.seqs) for visit in visits),
            "update_latency_ms": self.latency.percentiles_ms(),
            "tick_lag_ms": self.tick_lag.percentiles_ms(),
            "bytes_per_second": round(sum(visit.bytes for visit in visits) / seconds, 1),
            "rejections": dict(self.rejections),
        }


def _unseen(viewer: Visit, mover: Visit) -> str | None:
    last = bisect.bisect_right(mover.times, min(viewer.left_at, mover.left_at) - GRACE_SECONDS) - 1
    if last < 0 or mover.times[last] < viewer.connected_at:
        return None
    seen = viewer.seen.get(mover.player_id, 0)
    return None if seen >= mover.seqs[last] else f"saw {mover.player_id} move to {seen}, not to {mover.seqs[last]}"
