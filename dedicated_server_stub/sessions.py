"""The sessions of this server: what is created, refused, due and ended. No I/O; the clock is a parameter."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

REMEMBERED_KEYS = 65_536


class Refusal(StrEnum):
    """Why a session was not created; the text is the `error` of the answer."""

    FULL = "full"
    DRAINING = "draining"
    CONFLICT = "conflict"  # the session id is in use under another key
    REFUSED = "refused"  # on purpose, by --refuse-rate


@dataclass(frozen=True, slots=True)
class Session:
    """One running session. `ends_at` is a time of the registry's clock; None: time alone never ends it."""

    key: str
    session_id: str
    game_mode: str
    players: tuple[str, ...]
    ends_at: float | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A key has its session; `first` is False when an earlier call created it."""

    session_id: str
    first: bool


class SessionRegistry:
    """At most `capacity` sessions at a time, at most one per idempotency key.

    Args:
        capacity: how many sessions may run at once; never exceeded
            (`tests/stub/test_sessions.py::test_capacity_and_keys_hold_under_any_history`).
        limit_seconds: how long a session runs; None: until somebody ends it.
        clock: seconds, never going back.
        remembered_keys: how many keys of ended sessions are kept to answer late repeats.

    """

    def __init__(
        self,
        *,
        capacity: int,
        limit_seconds: float | None,
        clock: Callable[[], float],
        remembered_keys: int = REMEMBERED_KEYS,
    ) -> None:
        self.capacity = capacity
        self.draining = False
        self.created = 0
        self.ended = 0
        self.refused: Counter[Refusal] = Counter()
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._remembered_keys = remembered_keys
        # All sessions run equally long, so the order of creation is the order of their ends.
        self._live: dict[str, Session] = {}
        self._live_keys: dict[str, str] = {}
        self._ended_keys: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live)

    def create(self, *, key: str, session_id: str, game_mode: str, players: tuple[str, ...]) -> Placed | Refusal:
        """Create a session, or find the one that `key` has already, even when that has ended since."""
        known = self.find(key)
        if known is not None:
            return Placed(known, first=False)
        if self.draining:
            return self._refuse(Refusal.DRAINING)
        if session_id in self._live:
            return self._refuse(Refusal.CONFLICT)
        if len(self._live) >= self.capacity:
            return self._refuse(Refusal.FULL)
        ends_at = None if self._limit_seconds is None else self._clock() + self._limit_seconds
        self._live[session_id] = Session(key, session_id, game_mode, players, ends_at)
        self._live_keys[key] = session_id
        self.created += 1
        return Placed(session_id, first=True)

    def refuse_on_purpose(self, key: str) -> Refusal | None:
        """Refuse a new key, room or not. None for a known one: to deny its session were a lie."""
        return None if self.find(key) is not None else self._refuse(Refusal.REFUSED)

    def end(self, session_id: str) -> Session | None:
        """End a session and return it; None when there is none of that id."""
        session = self._live.pop(session_id, None)
        if session is None:
            return None
        del self._live_keys[session.key]
        self._ended_keys[session.key] = session_id
        if len(self._ended_keys) > self._remembered_keys:
            self._ended_keys.popitem(last=False)
        self.ended += 1
        return session

    def find(self, key: str) -> str | None:
        """Find the session that a key has, running or ended."""
        return self._live_keys.get(key) or self._ended_keys.get(key)

    def get(self, session_id: str) -> Session | None:
        """Find a running session."""
        return self._live.get(session_id)

    def live(self) -> list[Session]:
        """List the running sessions, oldest first."""
        return list(self._live.values())

    def live_ids(self) -> list[str]:
        """List the ids of the running sessions, oldest first."""
        return list(self._live)

    def due(self) -> list[str]:
        """List the ids of the sessions whose time is up, oldest first."""
        now = self._clock()
        ids = []
        for session in self._live.values():
            if session.ends_at is None or session.ends_at > now:
                break
            ids.append(session.session_id)
        return ids

    def seconds_until_due(self) -> float | None:
        """How long no session can become due, the ones not yet created included; None: time ends none."""
        if self._limit_seconds is None:
            return None
        oldest = next(iter(self._live.values()), None)
        if oldest is None or oldest.ends_at is None:
            return self._limit_seconds
        return max(0.0, oldest.ends_at - self._clock())

    def seconds_left(self, session: Session) -> float | None:
        """How long a session still has; None: time alone never ends it."""
        return None if session.ends_at is None else max(0.0, session.ends_at - self._clock())

    def _refuse(self, reason: Refusal) -> Refusal:
        self.refused[reason] += 1
        return reason
