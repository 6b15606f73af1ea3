"""Takes up the rooms of a process that has died."""

import asyncio

import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.presence.interface import PresenceUnavailable
from dedicated_server_stub.recovery.cold_store import ColdStore
from dedicated_server_stub.recovery.leases import HotSnapshots
from dedicated_server_stub.recovery.snapshot import InvalidSnapshot, RoomSnapshot, decode, restore
from dedicated_server_stub.rooms.registry import Rooms

_log: FilteringBoundLogger = structlog.get_logger()

_LEASE_POLL_SECONDS = 0.1


class Recovery:
    """Finds the snapshots of rooms, the hot one, else the cold one, and has the rooms run again.

    Args:
        hot: the hot snapshots.
        cold: the cold ones, if there are any.
        rooms: where the rooms run from now on.
    """

    def __init__(self, hot: HotSnapshots, cold: ColdStore | None, rooms: Rooms) -> None:
        self._hot = hot
        self._cold = cold
        self._rooms = rooms

    async def recover(self, session_id: str) -> bool:
        """Have a room run again. False: nothing is left of it, or another process has it."""
        try:
            snapshot = await self._find(session_id)
        except TimeoutError:
            _log.error("room_lease_not_free", session_id=session_id)
            return False
        if snapshot is None:
            _log.error("room_lost", session_id=session_id)
            return False
        room = self._rooms.make(session_id, world=snapshot.world)
        restore(room, snapshot, now=asyncio.get_running_loop().time(), settings=self._rooms.settings)
        self._rooms.start(room)
        _log.info("room_recovered", session_id=session_id, tick=snapshot.world.tick)
        return True

    async def _find(self, session_id: str) -> RoomSnapshot | None:
        try:
            # The dead process' lease is over by then. Without an answer of Redis the parent's word has to do: it has
            # seen the process end, and starts no two of them.
            async with asyncio.timeout(2 * self._hot.lease_seconds):
                while not await self._hot.take(session_id):  # noqa: ASYNC110 - it is another process's lease
                    await asyncio.sleep(_LEASE_POLL_SECONDS)
            hot = await self._hot.read(session_id)
        except PresenceUnavailable as error:
            _log.warning("hot_snapshot_out_of_reach", session_id=session_id, reason=str(error))
            hot = None
        if hot is not None and (snapshot := _decoded(hot, session_id)) is not None:
            return snapshot
        if self._cold is None:
            return None
        cold = await self._cold.read(session_id)
        return None if cold is None else _decoded(cold, session_id)


def _decoded(text: str, session_id: str) -> RoomSnapshot | None:
    try:
        return decode(text)
    except InvalidSnapshot as error:
        _log.error("snapshot_invalid", session_id=session_id, reason=str(error))
        return None
