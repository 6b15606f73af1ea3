"""What the rooms of all processes are doing, as each of them last wrote it down."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.presence.interface import Presence, PresenceUnavailable

_log: FilteringBoundLogger = structlog.get_logger()

PERIOD_SECONDS = 1.0
FORGOTTEN_SECONDS = 5.0  # after its last line, a process counts as gone
_PROCESSES = "processes"


class RoomStatistics(Struct, frozen=True):
    """One room."""

    session_id: str
    tick: int
    tick_lag_ms: float  # of the last tick
    present: list[str]
    expected_back: list[str]


class ProcessStatistics(Struct, frozen=True):
    """One process and its rooms."""

    process: str
    pid: int
    server_id: str
    address: str  # the base of its address for players
    players: int
    tick_lag_ms: float  # the largest of its rooms
    sent_bytes: int  # since it began
    rooms: list[RoomStatistics]


class Statistics:
    """Writes down what this process does, and reads what all do.

    Args:
        presence: where it stands.
        describe: what this process does now; None for one that runs no rooms.
    """

    def __init__(self, presence: Presence, describe: Callable[[], ProcessStatistics] | None) -> None:
        self._presence = presence
        self._describe = describe

    async def run(self) -> None:
        """Write every second, until cancelled."""
        down = False
        while self._describe is not None:
            try:
                await self.write()
                down = False
            except PresenceUnavailable as error:
                if not down:
                    _log.warning("statistics_not_written", reason=str(error))
                down = True
            await asyncio.sleep(PERIOD_SECONDS)

    async def write(self) -> None:
        """Write down what this process does now.

        Raises:
            PresenceUnavailable: it could not be written.
        """
        if self._describe is None:
            return
        mine = self._describe()
        await self._presence.set(_key(mine.process), msgspec.json.encode(mine).decode(), seconds=FORGOTTEN_SECONDS)
        await self._presence.hash_set(_PROCESSES, mine.process, "")

    async def read(self) -> list[ProcessStatistics]:
        """Read what all processes do, this one as of now.

        Raises:
            PresenceUnavailable: it could not be read.
        """
        await self.write()
        found = []
        for process in sorted(await self._presence.hash_get_all(_PROCESSES)):
            text = await self._presence.get(_key(process))
            if text is None:
                await self._presence.hash_delete(_PROCESSES, process)
                continue
            try:
                found.append(msgspec.json.decode(text, type=ProcessStatistics))
            except msgspec.DecodeError as error:  # of another version of this, say
                _log.warning("statistics_unreadable", process=process, reason=str(error))
        return found


def _key(process: str) -> str:
    return f"process:{process}"
