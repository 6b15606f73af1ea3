"""What operators and metrics see of a pool, queues and players, and the one thing that operators set: pauses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from redis import exceptions
from redis.asyncio import Redis

from match_server.errors import StoreUnavailable
from match_server.store.client import command
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

    async def player(self, player_id: str) -> dict[str, str] | None:
        """A player's record, with `held_until` when its link is lost, `session_id` once matched; None without a record.

        Its times are microseconds of the pool's clock; `stopped_us` is what that one is behind Redis' own, which
        shows `redis_us`.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hgetall(f"{self._prefix}player:{player_id}")
        pipeline.zscore(f"{self._prefix}held", player_id)
        pipeline.hget(f"{self._prefix}clock", "stopped_us")
        pipeline.time()
        try:
            record, held_until, stopped_us, (seconds, microseconds) = await pipeline.execute()
        except (exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(str(error)) from error
        if not record:
            return None
        found = {key.decode(): value.decode() for key, value in record.items()}
        if held_until is not None:
            found["held_until"] = str(int(held_until))
        found["stopped_us"] = (stopped_us or b"0").decode()
        found["redis_us"] = str(seconds * 1_000_000 + microseconds)
        if found["state"] == "matched":
            # All its players share this part of `match_found`: what follows the frame's own `seq`.
            match = await command(self._redis, "GET", f"{self._prefix}match:{found['loading_session_id']}")
            if match is not None:
                found["session_id"] = json.loads(b"{" + match[1:])["session_id"]
        return found
