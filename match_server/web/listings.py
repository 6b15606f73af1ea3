"""HTTP for operators: lists of players and of nodes."""

import base64
import binascii
import json
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.matching.game_modes import GameModes
from match_server.store.operators import ListedPlayer, NodeStatus, OperatorStore, Position
from match_server.web import answers
from match_server.web.access import OperatorAccess
from match_server.web.problems import Refused

_LIMIT = 100
_MOST = 500
_PLAYERS_PER_CALL = 100  # of the store: Redis serves nobody else meanwhile
_CALLS = 40  # for one page: those whom a filter leaves out are read, too
# By the state that is asked for: the stages to walk, in this order, and whether held players are meant.
_STAGES: dict[str | None, tuple[tuple[str, ...], bool | None]] = {
    None: (("allocating", "loading", "waiting"), None),
    "queued": (("waiting",), False),
    "held": (("waiting", "loading"), True),
    "loading": (("loading",), None),
    "allocating": (("allocating",), None),
}


class ListingEndpoints:
    """Each call needs a key of operators, where keys are set."""

    def __init__(self, *, access: OperatorAccess, store: OperatorStore, modes: GameModes) -> None:
        self._modes = modes
        self._access = access
        self._store = store

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/players", self.players, methods=["GET"]),
            Route("/nodes", self.nodes, methods=["GET"]),
        ]

    async def nodes(self, request: Request) -> Response:
        """`GET /nodes`: every node of the pool, and what it says of itself."""
        self._access.authorize(request)
        return JSONResponse({"nodes": [node_answer(status) for status in await self._store.nodes()]})

    async def players(self, request: Request) -> Response:
        """`GET /players?game_mode&state&limit&cursor`: who is placed, loads, waits or is held.

        Mode by mode and stage by stage, the longest wait first. `next` is the cursor of the next page, or null.
        """
        self._access.authorize(request, "game_mode", "state", "limit", "cursor")
        query = request.query_params
        state = query.get("state")
        if state not in _STAGES:
            expected = ", ".join(name for name in _STAGES if name)
            raise Refused(422, f"state: expected one of {expected}")
        places = self._places(query.get("game_mode"), state)
        left, calls = _limit(query.get("limit")), _CALLS
        at: Position | None = _cursor(query["cursor"], places) if "cursor" in query else places[0]
        found: list[ListedPlayer] = []
        while at and left and calls:
            page, end = await self._store.players(at, min(left, _PLAYERS_PER_CALL))
            wanted = _STAGES[state][1]
            page = [player for player in page if wanted is None or player.held == wanted]
            found += page
            left -= len(page)
            calls -= 1
            at = end or _behind(at, places)
        return JSONResponse({"players": [asdict(player) for player in found], "next": _encode(at) if at else None})

    def _places(self, game_mode: str | None, state: str | None) -> list[Position]:
        """Where the walk leads: each mode's stages."""
        modes = list(self._modes)
        if game_mode is not None and game_mode not in modes:
            raise Refused(404, "no such game mode")
        return [Position(mode, stage) for mode in modes if game_mode in {None, mode} for stage in _STAGES[state][0]]


def _limit(text: str | None) -> int:
    if text is None:
        return _LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= _MOST and len(text) < 4):
        raise Refused(422, f"limit: expected a number from 1 to {_MOST}")
    return int(text)


def _behind(at: Position, places: list[Position]) -> Position | None:
    index = places.index(Position(at.game_mode, at.stage)) + 1
    return places[index] if index < len(places) else None


def _encode(at: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(at, separators=(",", ":")).encode()).decode().rstrip("=")


def _cursor(text: str, places: list[Position]) -> Position:
    try:
        mode, stage, score, member, place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        at = Position(str(mode), str(stage), str(score), str(member), int(place))
        float(at.score or 0)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise Refused(422, "cursor: expected the `next` of an earlier page") from None
    if Position(at.game_mode, at.stage) not in places:
        raise Refused(422, "cursor: expected one of a page with the same game_mode and state")
    return at


def node_answer(status: NodeStatus) -> answers.Node:
    """A node as operators see it."""
    said = status.said
    return {
        "node": status.node,
        "address": said.get("address"),
        "version": said.get("version"),
        "started_at": said.get("started_at"),
        "connections": said.get("connections"),
        "mailbox": said.get("mailbox"),
        "lag_seconds": None if (lag := said.get("lag_seconds")) is None else round(lag, 6),
        "modes_hash": said.get("modes_hash"),
        "players": status.players,
        "state": said.get("state", "starting") if status.lease_seconds_left > 0 else "dead",
        "lease_seconds_left": round(status.lease_seconds_left, 3),
    }
