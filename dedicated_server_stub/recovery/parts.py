"""What a process that keeps its rooms, and takes up those of its predecessor, is made of."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.options import Options
from dedicated_server_stub.presence.interface import Presence
from dedicated_server_stub.recovery.cold_store import ColdStore, ColdStoreUnavailable
from dedicated_server_stub.recovery.cold_stores import cold_store
from dedicated_server_stub.recovery.cold_writer import ColdWriter
from dedicated_server_stub.recovery.keeper import Keepers
from dedicated_server_stub.recovery.leases import HotSnapshots
from dedicated_server_stub.recovery.recover import Recovery
from dedicated_server_stub.rooms.registry import Rooms

_log: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecoveryParts:
    """The keepers are a watcher of the rooms. `run` it."""

    hot: HotSnapshots
    cold: ColdStore | None
    keepers: Keepers
    writer: ColdWriter | None

    async def run(self) -> None:
        """Write cold snapshots, until cancelled."""
        if self.writer is None or self.cold is None:
            return
        try:
            await self.writer.run()
        finally:
            await self.cold.aclose()

    def recovery(self, rooms: Rooms) -> Recovery:
        """Take rooms up into these."""
        return Recovery(self.hot, self.cold, rooms)


async def open_recovery(
    options: Options,
    presence: Presence,
    *,
    process: str,
    on_kept: Callable[[str], None],
    on_displaced: Callable[[str], None],
) -> RecoveryParts:
    """Build the parts, and open the cold store where there is one.

    Args:
        options: of the server.
        presence: where hot snapshots and leases are.
        process: the name of this process, which its successor has, too.
        on_kept: called with the session of each room once there is something to recover.
        on_displaced: called with the session of a room that another process has.

    Raises:
        ColdStoreUnavailable: there cannot be such a cold store.
    """
    cold = None
    if options.snapshot_store is not None:
        cold = cold_store(options.snapshot_store)
        try:
            await cold.open()
        except ColdStoreUnavailable as error:  # it is tried again with each snapshot; hot ones may be enough
            _log.error("cold_store_unavailable", reason=str(error))
    hot = HotSnapshots(
        presence,
        owner=f"{process}/{uuid.uuid4().hex}",
        snapshot_seconds=options.snapshot_seconds,
        rejoin_seconds=options.rejoin_seconds,
    )
    writer = None if cold is None else ColdWriter(cold)
    keepers = Keepers(hot, writer, seconds=options.snapshot_seconds, on_kept=on_kept, on_displaced=on_displaced)
    return RecoveryParts(hot, cold, keepers, writer)
