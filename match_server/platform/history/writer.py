"""The sink of the history: a batch of events is one transaction; what is stored already changes nothing."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, bindparam, insert, select, update
from sqlalchemy import Row as SqlRow
from sqlalchemy.ext.asyncio import AsyncConnection

from match_server.events.cloudevents import CloudEvent
from match_server.events.data import (
    EventData,
    MatchCancelled,
    MatchFormed,
    MatchFound,
    ServerLeft,
    ServerLost,
    ServerRegistered,
    SessionEnded,
)
from match_server.platform.consumer import SinkRefuses, SinkUnavailable
from match_server.platform.history.database import Database, DatabaseRefuses, DatabaseUnavailable
from match_server.platform.history.rows import (
    Row,
    all_columns,
    ended_row,
    event_row,
    formed_row,
    found_row,
    match_player_rows,
    player_rows,
    server_row,
    unformed_row,
)
from match_server.platform.history.tables import events, match_players, matches, player_events, servers

_IDS_PER_QUERY = 500

D = TypeVar("D", bound=EventData)

_SERVER_LOST = "server_lost"
_ENDED = (
    update(matches)
    .where(matches.c.match_id == bindparam("match"))
    .values(ended_us=bindparam("at"), reason=bindparam("why"), result=bindparam("said"))
)
_SESSIONS_OF_SERVER = (
    update(matches)
    .where(
        matches.c.server_id == bindparam("server"), matches.c.ended_us.is_(None), matches.c.found_us <= bindparam("at")
    )
    .values(ended_us=bindparam("at"), reason=_SERVER_LOST)
)
_FOUND = (
    update(matches)
    .where(matches.c.match_id == bindparam("match"))
    .values(
        found_us=bindparam("at"),
        session_id=bindparam("session"),
        server_id=bindparam("server"),
        region=bindparam("where"),
    )
)
_CANCELLED = (
    update(matches)
    .where(matches.c.match_id == bindparam("match"))
    .values(cancelled_us=bindparam("at"), reason=bindparam("why"))
)


class HistorySink:
    """Stores events and what they say of matches, players and servers."""

    name = "history"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ready = False

    async def store(self, batch: Sequence[CloudEvent]) -> None:
        """See `Sink.store`."""
        try:
            if not self._ready:
                await self._database.migrate()
                self._ready = True
            async with self._database.transaction() as connection:
                known = await _known(connection, events.c.id, [event.id for event in batch])
                await _write(connection, [event for event in batch if event.id not in known])
        except DatabaseUnavailable as error:
            raise SinkUnavailable(str(error)) from error
        except DatabaseRefuses as error:
            raise SinkRefuses(str(error)) from error


async def _write(connection: AsyncConnection, batch: Sequence[CloudEvent]) -> None:
    await _insert(connection, events, [event_row(event) for event in batch])
    await _insert(connection, player_events, [row for event in batch for row in player_rows(event)])
    await _write_matches(connection, batch)
    found = [found_row(us, data) for us, data in _of_type(batch, MatchFound)]
    cancelled = [{"match": data.match_id, "at": us, "why": data.reason} for us, data in _of_type(batch, MatchCancelled)]
    gone = [
        {"server": data.subject, "at": us}
        for kind in (ServerLost, ServerLeft, ServerRegistered)
        for us, data in _of_type(batch, kind)
    ]
    for statement, rows in ((_FOUND, found), (_CANCELLED, cancelled)):
        if rows:
            await connection.execute(statement, rows)
    ended = await _ended_rows(connection, list(_of_type(batch, SessionEnded)))
    for statement, rows in ((_ENDED, ended), (_SESSIONS_OF_SERVER, gone)):
        if rows:
            await connection.execute(statement, rows)
    await _write_servers(connection, batch)


async def _ended_rows(connection: AsyncConnection, ended: Sequence[tuple[int, SessionEnded]]) -> list[Row]:
    """What becomes of the matches whose sessions are over.

    A session outlives a lost lease where its server comes back with it: what that says of its end later is what counts.
    A server may use an id again: the end is that of the match that was found last.
    """
    found: dict[tuple[str, str], list[SqlRow[Any]]] = defaultdict(list)
    sessions: dict[str, list[str]] = defaultdict(list)
    for _, data in ended:
        sessions[data.server_id].append(data.session_id)
    for server_id, ids in sessions.items():
        mine = select(matches).where(matches.c.server_id == server_id).order_by(matches.c.found_us)
        for part in _parts(ids):
            for row in await connection.execute(mine.where(matches.c.session_id.in_(part))):
                found[server_id, row.session_id].append(row)
    rows = []
    for us, data in ended:
        before = [row for row in found[data.server_id, data.session_id] if row.found_us <= us]
        if before and (before[-1].ended_us is None or before[-1].reason == _SERVER_LOST):
            rows.append(ended_row(us, before[-1].match_id, data))
    return rows


def _of_type(batch: Sequence[CloudEvent], kind: type[D]) -> Iterator[tuple[int, D]]:
    """The events of one type, each with its time."""
    return ((event.microseconds, event.data) for event in batch if isinstance(event.data, kind))


async def _write_matches(connection: AsyncConnection, batch: Sequence[CloudEvent]) -> None:
    """A row for each match that is first heard of; usually because it has formed."""
    rows: dict[str, Row] = {}
    players: list[Row] = []
    for event in batch:
        match event.data:
            case MatchFormed() as formed:
                rows[formed.match_id] = formed_row(event.microseconds, formed)
                players += match_player_rows(event.microseconds, formed)
            case MatchFound(match_id=match_id, game_mode=mode) | MatchCancelled(match_id=match_id, game_mode=mode):
                rows.setdefault(match_id, unformed_row(event.microseconds, match_id, mode))
    unformed = [match_id for match_id, row in rows.items() if row["formed_us"] is None]
    known = await _known(connection, matches.c.match_id, unformed)
    await _insert(connection, matches, [row for match_id, row in rows.items() if match_id not in known])
    await _insert(connection, match_players, players)


async def _write_servers(connection: AsyncConnection, batch: Sequence[CloudEvent]) -> None:
    changes: dict[str, Row] = {}
    for event in batch:
        if row := server_row(event.microseconds, event.data):
            changes[row["server_id"]] = changes.get(row["server_id"], {}) | row
    known = await _known(connection, servers.c.server_id, list(changes))
    await _insert(
        connection, servers, [all_columns(servers, row) for row in changes.values() if row["server_id"] not in known]
    )
    for server_id in known:
        await connection.execute(update(servers).where(servers.c.server_id == server_id).values(changes[server_id]))


async def _known(connection: AsyncConnection, column: ColumnElement[str], ids: Sequence[str]) -> set[str]:
    """Which of these ids are in the column."""
    found: set[str] = set()
    for part in _parts(ids):
        found.update((await connection.execute(select(column).where(column.in_(part)))).scalars())
    return found


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _IDS_PER_QUERY] for start in range(0, len(ids), _IDS_PER_QUERY))


async def _insert(connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    if rows:
        await connection.execute(insert(table), rows)
