"""Which cold store an address means."""

from pathlib import Path

from dedicated_server_stub.recovery.cold_store import ColdStore
from dedicated_server_stub.recovery.folder_store import FolderStore


def cold_store(where: str) -> ColdStore:
    """The store at the URL of a database, or in a folder.

    Raises:
        ColdStoreUnavailable: the URL is none, its driver is not installed, or the folder is a file.
    """
    if "://" not in where:
        return FolderStore(Path(where))
    from dedicated_server_stub.recovery.sql_store import SqlStore  # noqa: PLC0415 - slow to load, for those who use it

    return SqlStore(where)
