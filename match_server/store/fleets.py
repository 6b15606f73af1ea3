"""What the keeper of fleets asks of the store: whether it is the one, and what became of sessions."""

from collections.abc import Iterator, Sequence
from itertools import islice

from pydantic_core import from_json
from redis.asyncio import Redis

from match_server.store.client import command
from match_server.store.scripts import ScriptRunner

_SESSIONS_PER_CALL = 500


class FleetStore:
    """Of one matchmaking pool."""

    def __init__(self, runner: ScriptRunner, redis: Redis, *, prefix: str, node: str) -> None:
        self._runner = runner
        self._redis = redis
        self._prefix = prefix
        self._node = node

    async def leads(self, *, lease_seconds: float) -> bool:
        """Whether this node is the one that looks after the fleets, for so long from now.

        A node that stood still may think so once more than it should.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        return bool(await self._runner.one("lease_fleets", self._node, int(lease_seconds * 1000)))

    async def without_slot(self, server_id: str, session_ids: Sequence[str]) -> set[str]:
        """Of these sessions, those that have no slot on this server, nor will get one.

        A session moves from loading to a reserved slot to an active one, and is looked for in that order: one that
        moves meanwhile is seen in one of the places. A reserved slot of unknown fate is none once the session's
        record is gone.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        candidates = await self._slotless(server_id, session_ids)
        over = [
            session_id
            for session_id in candidates
            if not await command(self._redis, "EXISTS", f"{self._prefix}loading:{session_id}")
        ]
        return set(await self._slotless(server_id, over))

    async def _slotless(self, server_id: str, session_ids: Sequence[str]) -> list[str]:
        found: list[str] = []
        ids = iter(session_ids)
        while chunk := list(islice(ids, _SESSIONS_PER_CALL)):
            found += await self._slotless_of(server_id, chunk)
        return found

    async def _slotless_of(self, server_id: str, session_ids: Sequence[str]) -> Iterator[str]:
        reserved = await command(self._redis, "HMGET", f"{self._prefix}reserved:{server_id}", *session_ids)
        active = await command(self._redis, "HMGET", f"{self._prefix}active:{server_id}", *session_ids)
        return (
            session_id
            for session_id, create, session in zip(session_ids, reserved, active, strict=True)
            if session is None and (create is None or create.startswith(b"unknown"))
        )

    async def told_address(self, session_id: str) -> str | None:
        """Where the players of this session were sent; None when that is not known, or no longer.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        tail = await command(self._redis, "HGET", f"{self._prefix}match:{session_id}", "#tail")
        if tail is None:
            return None
        frame = from_json(b'{"type":"match_found"' + tail)
        address: str = frame["server_address"]
        return address
