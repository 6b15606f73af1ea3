"""What operators and metrics see of a pool, queues and players, and the one thing that operators set: pauses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from match_server.store.client import command
from match_server.store.journey import MATCHED_RECORD_SECONDS
from match_server.store.scripts import ScriptRunner


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """One game mode at one instant."""

    game_mode: str
    waiting: int
    held: int
    oldest_wait_seconds: float | None
    loading_sessions: int
    allocating_sessions: int
    unplaced_sessions: int
    matches_last_minute: int
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerStatus:
    """One player at one instant. `since` and `enqueued_at` are seconds since 1970, by Redis' clock."""

    state: str
    game_mode: str
    node: str
    connected: bool
    held: bool
    since: float  # when it got into this state
    since_seconds: float
    enqueued_at: float
    loading_session_id: str | None
    session_id: str | None  # once matched


class OperatorStore:
    """The operators' view of one matchmaking pool."""

    def __init__(self, runner: ScriptRunner, redis: Redis, *, prefix: str) -> None:
        self._runner = runner
        self._redis = redis
        self._prefix = prefix

    async def queues(self, game_modes: Sequence[str]) -> list[QueueStatus]:
        """Look at game modes, in one atomic reading.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        reply = await self._runner.one("queues", items=[(mode,) for mode in game_modes])
        return [
            QueueStatus(
                game_mode=mode,
                waiting=entry[0],
                held=entry[1],
                oldest_wait_seconds=entry[2] / 1000 if entry[2] >= 0 else None,
                loading_sessions=entry[3],
                allocating_sessions=entry[4],
                unplaced_sessions=entry[5],
                matches_last_minute=entry[6],
                paused=bool(entry[7]),
            )
            for mode, entry in zip(game_modes, reply, strict=True)
        ]

    async def pause(self, game_mode: str, *, paused: bool) -> None:
        """Pause a mode, or let it go on. Doing so twice changes nothing.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        key = f"{self._prefix}paused"
        await command(self._redis, "SADD" if paused else "SREM", key, game_mode)

    async def player(self, player_id: str) -> PlayerStatus | None:
        """Look at a player, in one atomic reading; None without a record.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        reply = await self._runner.one("player", player_id, MATCHED_RECORD_SECONDS)
        if not reply:
            return None
        state, mode, node, connected, held, since_us, enqueued_us, now_us, loading_session_id, match = reply
        return PlayerStatus(
            state=state.decode(),
            game_mode=mode.decode(),
            node=node.decode(),
            connected=bool(connected),
            held=bool(held),
            since=since_us / 1_000_000,
            since_seconds=max(0, now_us - since_us) / 1_000_000,
            enqueued_at=enqueued_us / 1_000_000,
            loading_session_id=loading_session_id.decode() or None,
            # All its players share this part of `match_found`: what follows the frame's own `seq`.
            session_id=json.loads(b"{" + match[1:])["session_id"] if match else None,
        )
