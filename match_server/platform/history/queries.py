"""What is asked of the history."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Row, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from match_server.platform.history.database import Database
from match_server.platform.history.tables import events, match_players, matches, player_events
from match_server.web import platform_answers as answers

HOUR_US = 3_600_000_000
_WAIT_MS = 100  # how exact the percentiles are


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which matches are asked for. Times are microseconds since 1970."""

    player_id: str | None = None
    game_mode: str | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: the time and the key of its last entry."""

    at_us: int
    key: str


class History:
    """Reads from the database. Every method raises DatabaseUnavailable when it gives no answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def matches(
        self, wanted: Wanted, *, limit: int, after: Cursor | None
    ) -> tuple[list[answers.Match], Cursor | None]:
        """A page of matches, newest first, and where it ends; None when there are no more."""
        query = _within(select(matches), matches.c.at_us, wanted)
        if wanted.player_id is not None:
            mine = select(match_players.c.match_id).where(match_players.c.player_id == wanted.player_id)
            query = query.where(matches.c.match_id.in_(mine))
        if after:
            query = query.where(
                or_(
                    matches.c.at_us < after.at_us,
                    and_(matches.c.at_us == after.at_us, matches.c.match_id < after.key),
                )
            )
        query = query.order_by(matches.c.at_us.desc(), matches.c.match_id.desc()).limit(limit + 1)
        async with self._database.transaction() as connection:
            rows = (await connection.execute(query)).all()
            shown = await _shown(connection, rows[:limit])
        last = rows[limit - 1] if len(rows) > limit else None
        return shown, Cursor(last.at_us, last.match_id) if last else None

    async def match(self, match_id: str) -> answers.Match | None:
        """One match, or None."""
        async with self._database.transaction() as connection:
            rows = (await connection.execute(select(matches).where(matches.c.match_id == match_id))).all()
            return next(iter(await _shown(connection, rows)), None)

    async def player_events(
        self, player_id: str, *, limit: int, after: Cursor | None
    ) -> tuple[list[dict[str, Any]], Cursor | None]:
        """A page of the events about a player, newest first, and where it ends."""
        mine = player_events.c
        query = (
            select(mine.time_us, mine.number, events.c.document)
            .join(events, events.c.id == mine.event_id)
            .where(mine.player_id == player_id)
        )
        if after:
            number = int(after.key)
            query = query.where(
                or_(mine.time_us < after.at_us, and_(mine.time_us == after.at_us, mine.number < number))
            )
        query = query.order_by(mine.time_us.desc(), mine.number.desc()).limit(limit + 1)
        async with self._database.transaction() as connection:
            rows = (await connection.execute(query)).all()
        last = rows[limit - 1] if len(rows) > limit else None
        return [json.loads(row.document) for row in rows[:limit]], Cursor(
            last.time_us, str(last.number)
        ) if last else None

    async def stats(self, wanted: Wanted) -> list[answers.Hour]:
        """Per game mode and hour: what became of matches and players, and how long those who got a match had waited."""
        async with self._database.transaction() as connection:
            found = await _per_hour(connection, wanted, matches.c.found_us.is_not(None))
            cancelled = await _per_hour(connection, wanted, matches.c.cancelled_us.is_not(None))
            waits = await _waits(connection, wanted)
            abandoned = await _abandoned(connection, wanted)
        hours = sorted({*found, *cancelled, *waits, *abandoned}, key=lambda key: (key[1], key[0]))
        return [
            {
                "game_mode": mode,
                "hour": _rfc3339(hour * HOUR_US),
                "matches": found.get((mode, hour), 0),
                "players": sum(count for _, count in waits.get((mode, hour), ())),
                "wait_p50_seconds": _percentile(waits.get((mode, hour), ()), 0.5),
                "wait_p95_seconds": _percentile(waits.get((mode, hour), ()), 0.95),
                "abandoned": abandoned.get((mode, hour), 0),
                "cancelled": cancelled.get((mode, hour), 0),
            }
            for mode, hour in hours
        ]


_Hours = dict[tuple[str, int], int]


async def _per_hour(connection: AsyncConnection, wanted: Wanted, condition: Any) -> _Hours:
    hour = (matches.c.at_us // HOUR_US).label("hour")
    query = _within(select(matches.c.game_mode, hour, func.count()).where(condition), matches.c.at_us, wanted)
    rows = await connection.execute(query.group_by(matches.c.game_mode, hour))
    return {(mode, int(at)): count for mode, at, count in rows}


async def _waits(connection: AsyncConnection, wanted: Wanted) -> dict[tuple[str, int], list[tuple[int, int]]]:
    """How many players of matches that were found had waited how long: steps of a tenth of a second, in order."""
    hour = (matches.c.at_us // HOUR_US).label("hour")
    step = (match_players.c.waited_ms // _WAIT_MS).label("step")
    query = (
        select(matches.c.game_mode, hour, step, func.count())
        .join(match_players, match_players.c.match_id == matches.c.match_id)
        .where(matches.c.found_us.is_not(None))
    )
    query = _within(query, matches.c.at_us, wanted).group_by(matches.c.game_mode, hour, step)
    waits: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for mode, at, waited, count in await connection.execute(query.order_by(step)):
        waits[mode, int(at)].append((int(waited), count))
    return waits


async def _abandoned(connection: AsyncConnection, wanted: Wanted) -> _Hours:
    """Players who left without a match."""
    mine = player_events.c
    hour = (mine.time_us // HOUR_US).label("hour")
    query = select(mine.game_mode, hour, func.count()).where(mine.type == "player.dequeued")
    if wanted.game_mode is not None:
        query = query.where(mine.game_mode == wanted.game_mode)
    query = _between(query, mine.time_us, wanted).group_by(mine.game_mode, hour)
    return {(mode, int(at)): count for mode, at, count in await connection.execute(query) if mode}


def _percentile(waits: Sequence[tuple[int, int]], share: float) -> float | None:
    wanted = share * sum(count for _, count in waits)
    passed = 0
    for step, count in waits:
        passed += count
        if passed >= wanted:
            return step * _WAIT_MS / 1000
    return None


def _within(query: Select[Any], at: Any, wanted: Wanted) -> Select[Any]:
    if wanted.game_mode is not None:
        query = query.where(matches.c.game_mode == wanted.game_mode)
    return _between(query, at, wanted)


def _between(query: Select[Any], at: Any, wanted: Wanted) -> Select[Any]:
    if wanted.since_us is not None:
        query = query.where(at >= wanted.since_us)
    if wanted.until_us is not None:
        query = query.where(at < wanted.until_us)
    return query


async def _shown(connection: AsyncConnection, rows: Iterable[Row[Any]]) -> list[answers.Match]:
    """Matches as they are answered, with their players."""
    rows = list(rows)
    ids = [row.match_id for row in rows]
    query = select(match_players).where(match_players.c.match_id.in_(ids)).order_by(match_players.c.place)
    players: dict[str, list[answers.MatchPlayer]] = defaultdict(list)
    for player in await connection.execute(query) if ids else ():
        players[player.match_id].append(
            {
                "player_id": player.player_id,
                "party_id": player.party_id,
                "team": player.team,
                "role": player.role,
                "waited_seconds": None if player.waited_ms is None else player.waited_ms / 1000,
            }
        )
    return [_match(row, players[row.match_id]) for row in rows]


def _match(row: Row[Any], players: list[answers.MatchPlayer]) -> answers.Match:
    return {
        "match_id": row.match_id,
        "session_id": row.session_id,
        "game_mode": row.game_mode,
        "state": _state(row),
        "reason": row.reason,
        "formed_at": _time(row.formed_us),
        "found_at": _time(row.found_us),
        "ended_at": _time(row.ended_us or row.cancelled_us),
        "server_id": row.server_id,
        "region": row.region,
        "rules_version": row.rules_version,
        "players": players,
        "result": None if row.result is None else json.loads(row.result),
    }


def _state(row: Row[Any]) -> Literal["formed", "found", "ended", "cancelled"]:
    if row.cancelled_us is not None:
        return "cancelled"
    if row.ended_us is not None:
        return "ended"
    return "formed" if row.found_us is None else "found"


def _time(us: int | None) -> str | None:
    return None if us is None else _rfc3339(us)


def _rfc3339(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).isoformat().replace("+00:00", "Z")
