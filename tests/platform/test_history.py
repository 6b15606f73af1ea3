"""The history holds what happened, each event once, on every database."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select, text

from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.platform.consumer import SinkRefuses, SinkUnavailable
from match_server.platform.history.database import Database
from match_server.platform.history.queries import HOUR_US, Cursor, History, Wanted
from match_server.platform.history.tables import events, metadata
from match_server.platform.history.writer import HistorySink
from tests.platform.conftest import opened
from tests.shared.postgres import Postgres
from tests.store.pool import ADDRESS, GRACE_SECONDS, Pool

Entries = list[tuple[str, str]]


def read(entries: Entries) -> list[CloudEvent]:
    return [event for entry in entries for event in read_entry(*entry, source="/match-server/test")]


def story(pool: Pool) -> Entries:
    """One match ends with a result, another is cancelled, a third loads, and a fourth is lost with its server."""
    pool.register("s1", capacity=4)
    found = pool.found("ann", "bob")
    pool.end(
        "s1",
        found.loading_session_id,
        result=json.dumps({"winner": "ann", "null": None, "map": "Österreich 🏰"}, ensure_ascii=False),
    )
    pool.loading("cid", "dan")
    pool.leave("cid")
    pool.leave("dan")
    pool.loading("eve", "fay")
    pool.register("s2")
    pool.found("gus", "hal")
    pool.do(pool.registry.remove("s1"))
    pool.do(pool.registry.remove("s2"))
    return pool.entries()


async def store(database: Database, batch: list[CloudEvent]) -> Any:
    """Returns the history, whose answers tests look into as if they were JSON."""
    await HistorySink(database).store(batch)
    return History(database)


def test_matches_players_and_statistics(pool: Pool, database_url: str) -> None:
    batch = read(story(pool))

    async def check() -> None:
        async with opened(database_url) as database:
            history = await store(database, batch)
            matches, end = await history.matches(Wanted(), limit=10, after=None)
            assert end is None
            assert [match["state"] for match in matches] == ["ended", "formed", "cancelled", "ended"]
            first = matches[-1]
            assert first["match_id"] == first["session_id"]
            assert (first["server_id"], first["region"], first["reason"]) == ("s1", "eu", "reported")
            assert first["result"] == {"winner": "ann", "null": None, "map": "Österreich 🏰"}
            assert sorted(player["player_id"] for player in first["players"]) == ["ann", "bob"]
            assert all(0 <= player["waited_seconds"] < 60 for player in first["players"])
            assert first["formed_at"] < first["found_at"] < first["ended_at"]
            assert await history.match(first["match_id"]) == first
            assert await history.match("nobody") is None
            assert matches[0]["reason"] == "server_lost"
            assert (matches[2]["reason"], matches[2]["found_at"]) == ("player_left", None)

            mine, _ = await history.matches(Wanted(player_id="ann"), limit=10, after=None)
            assert mine == [first]
            assert (await history.matches(Wanted(game_mode="trio"), limit=10, after=None))[0] == []

            of_cid, _ = await history.player_events("cid", limit=10, after=None)
            types = [event["type"] for event in of_cid]
            assert types == ["player.dequeued", "match.formed", "player.queued"]

            (hour,) = await history.stats(Wanted())
            assert (hour["game_mode"], hour["matches"], hour["players"]) == ("duel", 2, 4)
            assert (hour["abandoned"], hour["cancelled"]) == (2, 1)
            assert 0 <= hour["wait_p50_seconds"] <= hour["wait_p95_seconds"] < 60
            start = round(batch[0].microseconds / HOUR_US) * HOUR_US
            assert await history.stats(Wanted(since_us=start + 2 * HOUR_US)) == []

    asyncio.run(check())


def test_what_is_stored_already_changes_nothing(pool: Pool, database_url: str) -> None:
    batch = read(story(pool))

    async def check() -> None:
        async with opened(database_url) as database:
            history = await store(database, batch[:7])
            for _ in range(2):
                await store(database, batch)
            before = await history.matches(Wanted(), limit=10, after=None), await history.stats(Wanted())
            await store(database, batch[3:])
            assert (await history.matches(Wanted(), limit=10, after=None), await history.stats(Wanted())) == before
            async with database.transaction() as connection:
                assert (await connection.execute(select(func.count()).select_from(events))).scalar() == len(batch)

    asyncio.run(check())


def test_one_event_at_a_time_comes_to_the_same(pool: Pool, database_url: str, tmp_path: Path) -> None:
    batch = read(story(pool))

    async def check() -> None:
        async with opened(database_url) as one, opened(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}") as other:
            history = await store(one, batch)
            for event in batch:
                single = await store(other, [event])
            assert await history.matches(Wanted(), limit=10, after=None) == await single.matches(
                Wanted(), limit=10, after=None
            )

    asyncio.run(check())


def test_pages_hold_everything_once(pool: Pool, database_url: str) -> None:
    pool.register("s1", capacity=10)
    for number in range(9):
        pool.found("ann", "bob", session_id=f"s-{number}")
        pool.redis("DEL", f"{pool.prefix}player:ann", f"{pool.prefix}player:bob")  # their records have expired
    batch = read(pool.entries())

    async def check() -> None:
        async with opened(database_url) as database:
            history = await store(database, batch)
            seen: list[str] = []
            after: Cursor | None = None
            while True:
                page, after = await history.matches(Wanted(player_id="ann"), limit=4, after=after)
                seen += [match["match_id"] for match in page]
                if after is None:
                    break
            assert len(seen) == len(set(seen)) == 9
            told: list[str] = []
            while True:
                page, after = await history.player_events("ann", limit=7, after=after)
                told += [event["id"] for event in page]
                if after is None:
                    break
            expected = [event.id for event in batch if b'"ann"' in event.document()]
            assert told == list(reversed(expected))

    asyncio.run(check())


def test_a_match_whose_beginning_was_lost_is_known_from_its_end(pool: Pool, database_url: str) -> None:
    pool.register("s1", capacity=2)
    pool.found("ann", "bob")
    batch = [event for event in read(pool.entries()) if event.type == "match.found"]

    async def check() -> None:
        async with opened(database_url) as database:
            history = await store(database, batch)
            ((match,), _) = await history.matches(Wanted(), limit=10, after=None)
            assert (match["state"], match["formed_at"], match["players"]) == ("found", None, [])

    asyncio.run(check())


def test_a_server_is_what_it_was_last(pool: Pool, database_url: str) -> None:
    pool.register("s1", capacity=3)
    pool.heartbeat("s1", draining=True)
    pool.register("s2", max_session_seconds=5)
    pool.move_clock(GRACE_SECONDS + 20)
    pool.renew()
    pool.heartbeat("s1")
    pool.sweep()
    batch = read(pool.entries())

    async def check() -> None:
        async with opened(database_url) as database:
            for size in (2, len(batch)):
                await store(database, batch[:size])
            async with database.transaction() as connection:
                rows = (await connection.execute(metadata.tables["servers"].select())).all()
            assert {row.server_id: (row.state, row.address, row.capacity) for row in rows} == {
                "s1": ("draining", ADDRESS, 3),
                "s2": ("lost", ADDRESS, 1),
            }

    asyncio.run(check())


def test_a_session_that_outlives_a_lost_lease_ends_with_its_result(pool: Pool, database_url: str) -> None:
    pool.register("s1")
    order = pool.found("ann", "bob")
    pool.move_clock(20)
    pool.renew()
    pool.sweep()
    pool.register("s1", active_sessions=(order.loading_session_id,))
    lost = read(pool.entries())
    assert lost[-2].type == "server.lost"
    pool.end("s1", order.loading_session_id, result='"ann"')
    batch = read(pool.entries())

    async def check() -> None:
        async with opened(database_url) as database:
            ((match,), _) = await (await store(database, lost)).matches(Wanted(), limit=10, after=None)
            assert (match["state"], match["reason"], match["result"]) == ("ended", "server_lost", None)
            ((match,), _) = await (await store(database, batch)).matches(Wanted(), limit=10, after=None)
            assert (match["state"], match["reason"], match["result"]) == ("ended", "reported", "ann")

    asyncio.run(check())


def test_an_id_that_a_server_uses_again_ends_the_match_found_last(pool: Pool, database_url: str) -> None:
    pool.register("s1")
    first = pool.found("ann", "bob", session_id="game-1")
    pool.register("s1", incarnation="second")
    second = pool.found("cid", "dan", session_id="game-1")
    pool.end("s1", "game-1", result='"cid"')
    batch = read(pool.entries())

    async def check() -> None:
        async with opened(database_url) as database:
            history = await store(database, batch)
            for order, end in ((first, ("server_lost", None)), (second, ("reported", "cid"))):
                match = await history.match(order.loading_session_id)
                assert match is not None
                assert (match["reason"], match["result"]) == end

    asyncio.run(check())


def test_ids_that_differ_in_case_alone_are_of_two_players(pool: Pool, database_url: str) -> None:
    pool.register("s1", capacity=4)
    pool.loading("Ada", "ada")
    batch = read(pool.entries())

    async def check() -> None:
        async with opened(database_url) as database:
            history = await store(database, batch)
            ((match,), _) = await history.matches(Wanted(player_id="Ada"), limit=10, after=None)
            assert sorted(player["player_id"] for player in match["players"]) == ["Ada", "ada"]
            assert await history.matches(Wanted(player_id="ADA"), limit=10, after=None) == ([], None)
            queued, _ = await history.player_events("ada", limit=1, after=Cursor(2**62, "0"))
            assert [event["type"] for event in queued] == ["match.formed"]
            assert await history.match(match["match_id"].upper()) is None

    asyncio.run(check())


def test_the_migrations_make_the_tables(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async def check() -> None:
        async with opened(database_url) as database:
            for _ in range(2):
                await database.migrate()
            async with database.transaction() as connection:
                assert await connection.run_sync(differences) == []

    asyncio.run(check())


@pytest.mark.timeout(120)
def test_a_database_that_is_away_is_asked_again(pool: Pool, postgres: Postgres) -> None:
    url = postgres.database("away")
    pool.register("s1")
    batch = read(pool.entries())

    async def check() -> None:
        async with opened(url) as database:
            sink = HistorySink(database)
            await sink.store(batch)
            postgres.stop()
            try:
                with pytest.raises(SinkUnavailable):
                    await sink.store(batch)
            finally:
                postgres.start()
            await sink.store(batch)

    asyncio.run(check())


@pytest.mark.parametrize("database_url", ["postgres", "mysql"], indirect=True)
def test_a_value_that_no_column_takes_is_refused_for_good(database_url: str) -> None:
    (event,) = read([("5-1000000", "queue.paused\tduel\t")])

    async def check() -> None:
        async with opened(database_url) as database:
            with pytest.raises(SinkRefuses):
                await HistorySink(database).store([event.model_copy(update={"subject": "x" * 200})])

    asyncio.run(check())


def test_a_database_that_has_to_be_mended_refuses_no_event(database_url: str) -> None:
    async def check() -> None:
        async with opened(database_url) as database:
            sink = HistorySink(database)
            await sink.store(read([("5-1000000", "queue.paused\tduel\t")]))
            async with database.transaction() as connection:
                await connection.execute(text("DROP TABLE player_events"))
            with pytest.raises(SinkUnavailable):
                await sink.store(read([("6-1000000", "player.queued\tann\tduel\tfalse\t")]))

    asyncio.run(check())
