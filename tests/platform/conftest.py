import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from match_server.platform.history.database import Database
from tests.shared import mysql as mariadb
from tests.shared.mysql import MySQL
from tests.shared.postgres import MISSING, Postgres, binaries
from tests.shared.programs import missing
from tests.store.pool import Pool


@pytest.fixture
def pool(redis_url: str, prefix: str) -> Iterator[Pool]:
    """A pool of this test's own, whose transitions leave events."""
    pool = Pool(redis_url, prefix)
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        missing(MISSING)
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mysql() -> Iterator[MySQL]:
    if mariadb.binary() is None:
        missing(mariadb.MISSING)
    with MySQL() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind that is at hand."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'history.db'}"
    server: Postgres | MySQL = request.getfixturevalue(request.param)
    return server.database(f"test_{uuid.uuid4().hex[:12]}")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.aclose()
