"""Writes cold snapshots beside the rooms, one after the other."""

import asyncio

import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.recovery.cold_store import ColdStore, ColdStoreUnavailable

_log: FilteringBoundLogger = structlog.get_logger()


class ColdWriter:
    """Takes what is to be written at any time; of each room only the newest waits.

    One after the other: a write that still runs could otherwise bring back what has just been deleted.

    Args:
        store: where it goes.
    """

    def __init__(self, store: ColdStore) -> None:
        self._store = store
        self._waiting: dict[str, str | None] = {}  # by session; None: to be deleted
        self._changed = asyncio.Event()

    def keep(self, session_id: str, text: str) -> None:
        """Have a snapshot written."""
        self._waiting[session_id] = text
        self._changed.set()

    def forget(self, session_id: str) -> None:
        """Have the snapshot of a room that is over deleted."""
        self._waiting[session_id] = None
        self._changed.set()

    async def run(self) -> None:
        """Write and delete until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                session_id = next(iter(self._waiting))
                await self._carry_out(session_id, self._waiting.pop(session_id))

    async def _carry_out(self, session_id: str, text: str | None) -> None:
        try:
            if text is None:
                await self._store.forget(session_id)
            else:
                await self._store.write(session_id, text)
        except ColdStoreUnavailable as error:
            _log.warning("cold_snapshot_not_written", session_id=session_id, reason=str(error))
