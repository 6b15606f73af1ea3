"""HTTP of the platform for operators: matches, players' histories, statistics, and the schemas of events."""

import base64
import binascii
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.events.cloudevents import schemas
from match_server.platform.history.queries import Cursor, History, Wanted
from match_server.protocol import GAME_MODE_PATTERN, PLAYER_ID_PATTERN, UUID_PATTERN
from match_server.web.access import OperatorAccess
from match_server.web.openapi import platform_document
from match_server.web.problems import Refused

if TYPE_CHECKING:
    from match_server.web import platform_answers as answers

_MOST = 500
_USUAL = 100
_STATS_US = 24 * 3_600_000_000  # what statistics cover where nobody says from when
_LARGEST = 2**63 - 1  # that a database takes
_MATCH_ID = re.compile(UUID_PATTERN)
_FORMS = {"player_id": re.compile(PLAYER_ID_PATTERN), "game_mode": re.compile(GAME_MODE_PATTERN)}


class HistoryEndpoints:
    """The calls of operators about the past. Each needs a key, where one is set."""

    def __init__(self, history: History, access: OperatorAccess) -> None:
        self._history = history
        self._access = access

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/matches", self.matches, methods=["GET"]),
            Route("/matches/{match_id}", self.match, methods=["GET"]),
            Route("/players/{player_id}/history", self.player, methods=["GET"]),
            Route("/stats", self.stats, methods=["GET"]),
            Route("/events/schemas", self.schemas, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
        ]

    async def matches(self, request: Request) -> Response:
        """`GET /matches`: newest first."""
        self._access.authorize(request, "player_id", "game_mode", "since", "until", "limit", "cursor")
        found, end = await self._history.matches(_wanted(request), limit=_limit(request), after=_cursor(request))
        answer: answers.Matches = {"matches": found, "next": _encode(end)}
        return JSONResponse(answer)

    async def match(self, request: Request) -> Response:
        """`GET /matches/{match_id}`."""
        self._access.authorize(request)
        match_id = request.path_params["match_id"]
        found = await self._history.match(match_id) if _MATCH_ID.fullmatch(match_id) else None
        if found is None:
            raise Refused(404, "no such match in the history")
        return JSONResponse(found)

    async def player(self, request: Request) -> Response:
        """`GET /players/{player_id}/history`: the events about a player, newest first."""
        self._access.authorize(request, "limit", "cursor")
        player_id = _checked("player_id", request.path_params["player_id"])
        after = _cursor(request)
        if after and not (after.key.isdecimal() and int(after.key) <= _LARGEST):
            raise Refused(422, "cursor: expected the `next` of an earlier page")
        found, end = await self._history.player_events(player_id, limit=_limit(request), after=after)
        answer: answers.PlayerEvents = {"events": found, "next": _encode(end)}
        return JSONResponse(answer)

    async def stats(self, request: Request) -> Response:
        """`GET /stats`: per game mode and hour; of the last day, where nothing else is asked for."""
        self._access.authorize(request, "game_mode", "since", "until")
        wanted = _wanted(request)
        if wanted.since_us is None:
            until_us = wanted.until_us or round(datetime.now().timestamp() * 1_000_000)
            wanted = Wanted(game_mode=wanted.game_mode, since_us=until_us - _STATS_US, until_us=wanted.until_us)
        answer: answers.Stats = {"stats": await self._history.stats(wanted)}
        return JSONResponse(answer)

    async def schemas(self, request: Request) -> Response:
        """`GET /events/schemas`: a JSON Schema for each type of event."""
        self._access.authorize(request)
        return JSONResponse(schemas())

    async def openapi(self, _request: Request) -> Response:
        """`GET /openapi.json`: these calls, for machines; without a key."""
        return JSONResponse(platform_document())


def _wanted(request: Request) -> Wanted:
    query = request.query_params
    return Wanted(
        player_id=_checked("player_id", query["player_id"]) if "player_id" in query else None,
        game_mode=_checked("game_mode", query["game_mode"]) if "game_mode" in query else None,
        since_us=_time("since", query["since"]) if "since" in query else None,
        until_us=_time("until", query["until"]) if "until" in query else None,
    )


def _checked(name: str, value: str) -> str:
    if not _FORMS[name].fullmatch(value):
        raise Refused(422, f"{name}: expected {_FORMS[name].pattern}")
    return value


def _time(name: str, text: str) -> int:
    try:
        time = datetime.fromisoformat(text.replace(" ", "+"))  # a + that was not encoded comes as a space
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise Refused(422, f"{name}: expected a time such as 2026-11-27T04:50:44Z")
    return round(time.timestamp() * 1_000_000)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(_USUAL))
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= _MOST):
        raise Refused(422, f"limit: expected a number from 1 to {_MOST}")
    return int(text)


def _encode(cursor: Cursor | None) -> str | None:
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(json.dumps([cursor.at_us, cursor.key]).encode()).decode().rstrip("=")


def _cursor(request: Request) -> Cursor | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        found: Any = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        at_us, key = found
        if not (isinstance(at_us, int) and 0 <= at_us <= _LARGEST and isinstance(key, str) and len(key) <= 64):
            raise ValueError("not a cursor")
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise Refused(422, "cursor: expected the `next` of an earlier page") from None
    return Cursor(at_us, key)
