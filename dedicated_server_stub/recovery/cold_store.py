"""Where cold snapshots are kept, for the day on which Redis is lost together with a worker.

Two implementations keep this interface, behind one suite of tests: `folder_store` and `sql_store`.
"""

import hashlib
from typing import Protocol

import structlog
from structlog.typing import FilteringBoundLogger

_log: FilteringBoundLogger = structlog.get_logger()

FORGOTTEN_SECONDS = 24 * 3600  # a snapshot that is older was left behind by a server that nobody started again


class ColdStoreUnavailable(Exception):
    """The store did not do it, as far as can be known. The text says why, and holds no password."""


class ColdStore(Protocol):
    """The newest cold snapshot of each room."""

    async def open(self) -> None:
        """Make it ready, and delete what is long forgotten.

        Raises:
            ColdStoreUnavailable: it cannot be had now. The other methods try again.
        """

    async def write(self, session_id: str, text: str) -> None:
        """Write the snapshot of a room; the one before stays whole until this one is.

        Raises:
            ColdStoreUnavailable: it was not written.
        """

    async def read(self, session_id: str) -> str | None:
        """Read the snapshot of a room; None when there is none, its checksum is wrong, or it cannot be read."""

    async def forget(self, session_id: str) -> None:
        """Delete the snapshot of a room that is over; without effect when there is none.

        Raises:
            ColdStoreUnavailable: it may still be there.
        """

    async def aclose(self) -> None:
        """Let go of it."""


def name_of(session_id: str) -> str:
    """A name of 64 characters that is safe whatever the id is."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def sealed(text: str) -> bytes:
    """A snapshot as it is stored: the checksum, and what it is of."""
    content = text.encode()
    return _checksum(content) + b"\n" + content


def unsealed(stored: bytes, session_id: str) -> str | None:
    """What was sealed; None, and a line in the log, when the checksum is wrong."""
    checksum, _, content = stored.partition(b"\n")
    if checksum != _checksum(content):
        _log.error("cold_snapshot_damaged", session_id=session_id)
        return None
    return content.decode()


def unreadable(session_id: str, reason: str) -> None:
    """Say that a snapshot cannot be read."""
    _log.error("cold_snapshot_unreadable", session_id=session_id, reason=reason)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
