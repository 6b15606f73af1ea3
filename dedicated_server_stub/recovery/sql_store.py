"""Cold snapshots in a database: a row for each room. SQLAlchemy speaks to SQLite, PostgreSQL and MySQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from dedicated_server_stub.recovery.cold_store import (
    FORGOTTEN_SECONDS,
    ColdStoreUnavailable,
    name_of,
    sealed,
    unreadable,
    unsealed,
)

ANSWER_SECONDS = 10.0
_EXTRAS = {"asyncpg": "postgres", "asyncmy": "mysql"}

_metadata = MetaData()
_snapshots = Table(
    "room_snapshots",
    _metadata,
    Column("name", String(64), primary_key=True),  # of the session
    Column("saved_at", BigInteger, nullable=False),  # seconds since 1970
    Column("sealed", LargeBinary(2**24), nullable=False),  # the length has MySQL take more than 64 KiB
)


class SqlStore:
    """Connects when it is first used. Servers may share a database: their sessions have ids of their own.

    Args:
        url: as SQLAlchemy has it, with a driver for asyncio: `sqlite+aiosqlite:///file`, `postgresql+asyncpg://…`.

    Raises:
        ColdStoreUnavailable: the URL is none, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = create_async_engine(make_url(url), pool_pre_ping=True)
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(error.name or "")
            how = f"pip install 'match-server[{extra}]'" if extra else f"install {error.name}"
            raise ColdStoreUnavailable(f"its driver is not installed: {how}") from None
        except (ArgumentError, InvalidRequestError, ValueError) as error:
            raise ColdStoreUnavailable(_first_line(error)) from None
        self._there = False  # the table

    async def open(self) -> None:
        """Make the table, and delete old rows."""
        old = delete(_snapshots).where(_snapshots.c.saved_at < int(time.time()) - FORGOTTEN_SECONDS)
        async with self._transaction() as connection:
            await connection.execute(old)

    async def write(self, session_id: str, text: str) -> None:
        """Write a row over the one before."""
        values = {"saved_at": int(time.time()), "sealed": sealed(text)}
        name = name_of(session_id)
        async with self._transaction() as connection:
            # One process at a time has the room, so nobody inserts it in between. To update and see that there is no
            # row would lock what is beside it in MySQL, and two inserts would wait for each other.
            if (await connection.execute(select(_snapshots.c.name).where(_snapshots.c.name == name))).first():
                await connection.execute(update(_snapshots).where(_snapshots.c.name == name).values(values))
            else:
                await connection.execute(insert(_snapshots).values(name=name, **values))

    async def read(self, session_id: str) -> str | None:
        """Read a row."""
        wanted = select(_snapshots.c.sealed).where(_snapshots.c.name == name_of(session_id))
        try:
            async with self._transaction() as connection:
                stored: bytes | None = (await connection.execute(wanted)).scalar()
        except ColdStoreUnavailable as error:
            unreadable(session_id, str(error))
            return None
        return None if stored is None else unsealed(stored, session_id)

    async def forget(self, session_id: str) -> None:
        """Delete a row."""
        async with self._transaction() as connection:
            await connection.execute(delete(_snapshots).where(_snapshots.c.name == name_of(session_id)))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        """All or nothing of what is done within this, in the table."""
        if not self._there:
            try:
                await self._make_table()
            except ColdStoreUnavailable:
                await self._make_table()  # another process may have made it at the same moment
            self._there = True
        async with self._connection() as connection:
            yield connection

    async def _make_table(self) -> None:
        async with self._connection() as connection:
            await connection.run_sync(_metadata.create_all)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._engine.begin() as connection:
                yield connection
        except TimeoutError:
            raise ColdStoreUnavailable(f"no answer in {ANSWER_SECONDS:g} s") from None
        except (DBAPIError, OSError, NoConnectionInTime) as error:
            raise ColdStoreUnavailable(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
