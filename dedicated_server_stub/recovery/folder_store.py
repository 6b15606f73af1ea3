"""Cold snapshots in a folder: a file for each room."""

import asyncio
import os
import time
from pathlib import Path

from dedicated_server_stub.recovery.cold_store import (
    FORGOTTEN_SECONDS,
    ColdStoreUnavailable,
    name_of,
    sealed,
    unreadable,
    unsealed,
)

_SUFFIX = ".snapshot"


class FolderStore:
    """Reads and writes the files on threads.

    Args:
        folder: made when it is not there. Only one server at a time may have it.

    Raises:
        ColdStoreUnavailable: it is a file.
    """

    def __init__(self, folder: Path) -> None:
        if folder.is_file():
            raise ColdStoreUnavailable(f"{folder} is a file, not a folder")
        self._folder = folder

    async def open(self) -> None:
        """Make the folder, and delete old files."""
        try:
            await asyncio.to_thread(self._open)
        except OSError as error:
            raise ColdStoreUnavailable(str(error)) from None

    async def write(self, session_id: str, text: str) -> None:
        """Write a file beside the one before, then put it in its place."""
        try:
            await asyncio.to_thread(self._write, self._path(session_id), sealed(text))
        except OSError as error:
            raise ColdStoreUnavailable(str(error)) from None

    async def read(self, session_id: str) -> str | None:
        """Read a file."""
        try:
            stored = await asyncio.to_thread(self._path(session_id).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            unreadable(session_id, str(error))
            return None
        return unsealed(stored, session_id)

    async def forget(self, session_id: str) -> None:
        """Delete a file."""
        try:
            await asyncio.to_thread(self._path(session_id).unlink, missing_ok=True)
        except OSError as error:
            raise ColdStoreUnavailable(str(error)) from None

    async def aclose(self) -> None:
        """No file is open between two calls."""

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - FORGOTTEN_SECONDS
        for path in self._folder.glob("*" + _SUFFIX):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _write(self, path: Path, content: bytes) -> None:
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    def _path(self, session_id: str) -> Path:
        return self._folder / (name_of(session_id) + _SUFFIX)
