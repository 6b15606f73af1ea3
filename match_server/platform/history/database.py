"""The database of the history: opened, brought up to date, and its errors sorted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from match_server.errors import SettingsError

_MIGRATIONS = Path(__file__).parent / "migrations"
_SETTING = "MATCH_DATABASE_URL"
_DATA_EXCEPTION = "22"  # the class of SQLSTATE for values that a column does not take
_EXTRAS = {"asyncpg": "postgres", "asyncmy": "mysql"}


class DatabaseUnavailable(Exception):
    """The database cannot store now: it gives no answer, somebody has to mend it, or another process was faster."""


class DatabaseRefuses(Exception):
    """The database takes this for nothing that it can store."""


class Database:
    """One database. `migrate` comes first."""

    def __init__(self, url: str) -> None:
        """Connects when it is first used.

        Raises:
            SettingsError: the URL is none, or its driver is not installed.
        """
        try:
            parsed = make_url(url)
            self._engine: AsyncEngine = create_async_engine(parsed, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(error.name or "")
            how = f"pip install 'match-server[{extra}]'" if extra else f"install {error.name}"
            raise SettingsError(f"{_SETTING}: its driver is not installed: {how}") from None
        except (ArgumentError, ValueError) as error:
            raise SettingsError(f"{_SETTING}: {error}") from None
        self.shown = parsed.render_as_string(hide_password=True)
        if parsed.get_backend_name() == "sqlite":
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)

    async def migrate(self) -> None:
        """Bring the tables up to date; does nothing where they are.

        Raises:
            DatabaseUnavailable: not now.
        """
        async with self.transaction() as connection:
            await connection.run_sync(_upgrade)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """All or nothing of what is done within this.

        Raises:
            DatabaseUnavailable: not now.
            DatabaseRefuses: this cannot be stored.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            refused = isinstance(error, DataError) or getattr(error.orig, "sqlstate", "").startswith(_DATA_EXCEPTION)
            raise (DatabaseRefuses if refused else DatabaseUnavailable)(_first_line(error)) from error
        except (OSError, NoConnectionInTime) as error:
            raise DatabaseUnavailable(_first_line(error)) from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers and the writer do not wait for each other, and a write does not wait for the disk each time."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
