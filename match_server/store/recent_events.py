"""The newest events of a pool, and how many were lost, as somebody looks at them who stores nothing."""

from redis.asyncio import Redis

from match_server.store.client import command

_ENTRIES_PER_READ = 20  # each has up to a script's whole batch of events


class RecentEvents:
    """Reads the stream from its end, and leaves it as it is."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def before(self, entry_id: str | None) -> list[tuple[str, str]]:
        """Id and text of the last entries before this one, or of the stream, the newest first; empty at its beginning.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        end = "+" if entry_id is None else f"({entry_id}"
        key = f"{self._prefix}events"
        found = await command(self._redis, "XREVRANGE", key, end, "-", "COUNT", _ENTRIES_PER_READ)
        return [(each.decode(), fields.get(b"e", b"").decode("utf-8", "replace")) for each, fields in found]

    async def lost(self) -> dict[str, int]:
        """How many events were deleted before a sink had stored them, by sink, since the pool is there.

        `redis`: those for which it had no memory.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        counts = await command(self._redis, "HGETALL", f"{self._prefix}events:lost")
        lost = {sink.decode(): int(count) for sink, count in counts.items() if not sink.endswith(b" to")}
        return {**lost, "redis": int(await command(self._redis, "HGET", f"{self._prefix}clock", "events_dropped") or 0)}
