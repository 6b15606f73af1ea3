"""Cold snapshots: a file for each room in a folder, for the day on which Redis is lost together with a worker."""

import hashlib
import os
import time
from pathlib import Path

import structlog
from structlog.typing import FilteringBoundLogger

_log: FilteringBoundLogger = structlog.get_logger()

FORGOTTEN_SECONDS = 24 * 3600  # a file that is older was left behind by a server that nobody started again
_SUFFIX = ".snapshot"


class ColdStore:
    """Reads and writes the files, on the thread that calls it. Each begins with the checksum of what follows.

    Args:
        folder: made when it is not there. Only one server at a time may have it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Make the folder ready, and delete what is long forgotten.

        Raises:
            OSError: it cannot be had.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - FORGOTTEN_SECONDS
        for path in self._folder.glob("*" + _SUFFIX):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def write(self, session_id: str, text: str) -> None:
        """Write the snapshot of a room; the one before stays whole until this one is.

        Raises:
            OSError: it was not written.
        """
        path = self._path(session_id)
        unfinished = path.with_suffix(".part")
        content = text.encode()
        with unfinished.open("wb") as file:
            file.write(_checksum(content) + b"\n" + content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    def read(self, session_id: str) -> str | None:
        """Read the snapshot of a room; None when there is none, or its checksum is wrong."""
        try:
            checksum, _, content = self._path(session_id).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.error("cold_snapshot_unreadable", session_id=session_id, reason=str(error))
            return None
        if checksum != _checksum(content):
            _log.error("cold_snapshot_damaged", session_id=session_id)
            return None
        return content.decode()

    def forget(self, session_id: str) -> None:
        """Delete the snapshot of a room that is over."""
        self._path(session_id).unlink(missing_ok=True)

    def _path(self, session_id: str) -> Path:
        """A name that is safe whatever the id is."""
        return self._folder / (hashlib.sha256(session_id.encode()).hexdigest() + _SUFFIX)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
