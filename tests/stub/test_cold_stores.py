"""What a cold store promises: in a folder, and in each database that is at hand."""

import asyncio
import subprocess
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from dedicated_server_stub.recovery.cold_store import FORGOTTEN_SECONDS, ColdStore, ColdStoreUnavailable
from dedicated_server_stub.recovery.cold_stores import cold_store
from dedicated_server_stub.recovery.recover import Recovery
from dedicated_server_stub.recovery.snapshot import capture
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import RoomSettings
from tests.shared import mysql as mariadb
from tests.shared.mysql import MySQL
from tests.shared.postgres import MISSING, Postgres, binaries
from tests.shared.programs import missing
from tests.shared.redis_server import RedisServer
from tests.stub.test_command import COMMAND
from tests.stub.test_recovery import SESSION, SlowPresence, hot_in, played_room
from tests.stub.test_workers import Fleet, play

LONG = "snapshot 🏰 " * 20_000  # more than 64 KiB


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        missing(MISSING)
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def mysql() -> Iterator[MySQL]:
    if mariadb.binary() is None:
        missing(mariadb.MISSING)
    with MySQL() as server:
        yield server


@pytest.fixture(params=["folder", "sqlite", "postgres", "mysql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "folder":
        return str(tmp_path / "cold")
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'cold.db'}"
    server: Postgres | MySQL = request.getfixturevalue(request.param)
    return server.database(f"test_{uuid.uuid4().hex[:12]}")


def run(where: str, scenario: Callable[[ColdStore], Awaitable[None]]) -> None:
    async def with_store() -> None:
        store = cold_store(where)
        try:
            async with asyncio.timeout(30):
                await store.open()
                await scenario(store)
        finally:
            await store.aclose()

    asyncio.run(with_store())


def test_the_newest_is_read_until_it_is_forgotten(where: str) -> None:
    async def scenario(store: ColdStore) -> None:
        assert await store.read("s/1 ä") is None
        await store.write("s/1 ä", "first")
        await store.write("s/1 ä", LONG)
        await store.write("s-2", "other")
        assert await store.read("s/1 ä") == LONG
        await store.forget("s/1 ä")
        await store.forget("s/1 ä")
        assert await store.read("s/1 ä") is None
        assert await store.read("s-2") == "other"

    run(where, scenario)


def test_another_process_reads_it(where: str) -> None:
    run(where, lambda store: store.write(SESSION, "text"))

    async def scenario(store: ColdStore) -> None:
        assert await store.read(SESSION) == "text"

    run(where, scenario)


def test_processes_that_start_together_all_open_it(where: str) -> None:
    async def scenario() -> None:
        stores = [cold_store(where) for _ in range(8)]
        try:
            await asyncio.gather(*(store.open() for store in stores))
            await asyncio.gather(*(store.write(f"s-{number}", "text") for number, store in enumerate(stores)))
            assert [await stores[0].read(f"s-{number}") for number in range(8)] == ["text"] * 8
        finally:
            for store in stores:
                await store.aclose()

    asyncio.run(scenario())


def test_what_is_long_forgotten_is_deleted_at_the_start(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(store: ColdStore) -> None:
        await store.write("old", "text")
        await store.open()
        assert await store.read("old") == "text"
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + FORGOTTEN_SECONDS + 60)
        await store.open()
        assert await store.read("old") is None

    run(where, scenario)


def test_a_damaged_one_is_none(where: str) -> None:
    def damage_file() -> None:
        (file,) = Path(where).iterdir()
        file.write_bytes(file.read_bytes()[:-1] + b"X")

    async def damage_row() -> None:
        engine = create_async_engine(where)
        async with engine.begin() as connection:
            (stored,) = (await connection.execute(text("SELECT sealed FROM room_snapshots"))).scalars()
            await connection.execute(
                text("UPDATE room_snapshots SET sealed = :damaged"), {"damaged": stored[:-1] + b"X"}
            )
        await engine.dispose()

    async def scenario(store: ColdStore) -> None:
        await store.write(SESSION, "whole")
        if "://" in where:
            await damage_row()
        else:
            damage_file()
        assert await store.read(SESSION) is None

    run(where, scenario)


def test_a_room_is_recovered_from_it(where: str) -> None:
    """Redis answers, and has lost everything."""

    async def scenario(store: ColdStore) -> None:
        old, presence = played_room(), SlowPresence()
        presence.let.release()
        await store.write(SESSION, capture(old))
        rooms = Rooms(RoomSettings(tick_hz=100))
        assert await Recovery(hot_in(presence, "p-2"), store, rooms).recover(SESSION)
        (room,) = rooms
        assert room.world == old.world
        rooms.end(SESSION)
        await rooms.close(0)

    run(where, scenario)


async def threads_end() -> None:
    """Of connections to SQLite that could not be made: each still has to say so to the event loop."""
    while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):  # noqa: ASYNC110 - threads
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["folder", "database"])
def test_one_that_cannot_be_had_says_so(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = str(tmp_path / "file" / "cold") if kind == "folder" else f"sqlite+aiosqlite:///{tmp_path}/file/cold.db"

    async def scenario() -> None:
        store = cold_store(where)
        for wanted in (store.open(), store.write(SESSION, "text"), store.forget(SESSION)):
            with pytest.raises(ColdStoreUnavailable):
                await wanted
        assert await store.read(SESSION) is None
        await store.aclose()
        await threads_end()

    asyncio.run(scenario())


def test_a_database_that_comes_later_is_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = cold_store(f"sqlite+aiosqlite:///{tmp_path}/later/cold.db")
        with pytest.raises(ColdStoreUnavailable):
            await store.open()
        (tmp_path / "later").mkdir()
        await store.write(SESSION, "text")
        assert await store.read(SESSION) == "text"
        await store.aclose()
        await threads_end()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///file.db", "async"),
        ("nonsense://there", "nonsense"),
        ("postgresql+asyncpg://ann:s3cret@here:x/rooms", "x"),
        (__file__, "not a folder"),
    ],
)
def test_a_wrong_address_is_refused_in_words_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ColdStoreUnavailable) as caught:
        cold_store(url)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_the_driver_says_of_an_outage_holds_no_password() -> None:
    async def scenario() -> None:
        store = cold_store("postgresql+asyncpg://ann:s3cret@127.0.0.1:1/rooms")
        with pytest.raises(ColdStoreUnavailable) as caught:
            await store.open()
        assert "s3cret" not in str(caught.value)
        await store.aclose()

    asyncio.run(scenario())


def test_the_workers_of_a_server_open_it(tmp_path: Path) -> None:
    where = f"sqlite+aiosqlite:///{tmp_path / 'cold.db'}"

    async def scenario(_: Fleet) -> None:
        engine = create_async_engine(where)
        async with engine.begin() as connection:
            assert (await connection.execute(text("SELECT name FROM room_snapshots"))).all() == []
        await engine.dispose()

    with RedisServer() as redis:
        play(scenario, "--presence", redis.url, "--snapshot-store", where, "--drain-seconds", "0")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--snapshot-store", "cold"), "works with --presence alone"),
        (("--presence", "redis://127.0.0.1:1", "--snapshot-store", "nonsense://there"), "nonsense"),
    ],
)
def test_the_command_refuses_what_cannot_be(options: tuple[str, ...], words: str) -> None:
    done = subprocess.run([COMMAND, *options], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "--snapshot-store" in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
