"""HTTP for operators: queues, players, dedicated servers."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.config import GameMode, Settings
from match_server.protocol import PLAYER_ID_PATTERN
from match_server.store.operators import OperatorStore, PlayerStatus, QueueStatus
from match_server.store.registry import RegistryStore, ServerStatus
from match_server.web.access import require_key
from match_server.web.problems import Refused

_PLAYER_ID = re.compile(PLAYER_ID_PATTERN)


class OperatorEndpoints:
    """The calls of operators. Each needs MATCH_ADMIN_KEY, where one is set."""

    def __init__(self, *, settings: Settings, registry: RegistryStore, store: OperatorStore) -> None:
        self._settings = settings
        self._registry = registry
        self._store = store

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/servers", self.servers, methods=["GET"]),
            Route("/queues", self.queues, methods=["GET"]),
            Route("/queues/{game_mode}", self.queue, methods=["GET"]),
            Route("/queues/{game_mode}/pause", self.pause, methods=["POST"]),
            Route("/queues/{game_mode}/resume", self.resume, methods=["POST"]),
            Route("/players/{player_id}", self.player, methods=["GET"]),
        ]

    async def servers(self, request: Request) -> Response:
        """`GET /servers`: every dedicated server and its slots."""
        self._authorize(request)
        return JSONResponse({"servers": [_server(status) for status in await self._registry.servers()]})

    async def queues(self, request: Request) -> Response:
        """`GET /queues`: every game mode."""
        self._authorize(request)
        statuses = await self._store.queues([mode.name for mode in self._settings.game_modes])
        modes = zip(self._settings.game_modes, statuses, strict=True)
        return JSONResponse({"queues": [_queue(mode, status) for mode, status in modes]})

    async def queue(self, request: Request) -> Response:
        """`GET /queues/{game_mode}`."""
        self._authorize(request)
        mode = self._mode(request)
        (status,) = await self._store.queues([mode.name])
        return JSONResponse(_queue(mode, status))

    async def pause(self, request: Request) -> Response:
        """`POST /queues/{game_mode}/pause`: takes no enqueue and forms no match; who waits keeps waiting."""
        return await self._set_paused(request, paused=True)

    async def resume(self, request: Request) -> Response:
        """`POST /queues/{game_mode}/resume`."""
        return await self._set_paused(request, paused=False)

    async def player(self, request: Request) -> Response:
        """`GET /players/{player_id}`: state, since when, session, node; 404 without a record."""
        self._authorize(request)
        player_id = request.path_params["player_id"]
        if not _PLAYER_ID.fullmatch(player_id):
            raise Refused(422, "player_id: expected 1 to 64 characters of A-Z a-z 0-9 _ . @ : -")
        status = await self._store.player(player_id)
        if status is None:
            raise Refused(404, "no such player: in no queue, and in no match of the last two minutes")
        return JSONResponse(_player(player_id, status))

    async def _set_paused(self, request: Request, *, paused: bool) -> Response:
        self._authorize(request)
        mode = self._mode(request)
        await self._store.pause(mode.name, paused=paused)
        return JSONResponse({"game_mode": mode.name, "paused": paused})

    def _mode(self, request: Request) -> GameMode:
        mode = self._settings.game_mode(request.path_params["game_mode"])
        if mode is None:
            raise Refused(404, "no such game mode")
        return mode

    def _authorize(self, request: Request) -> None:
        require_key(request.headers, self._settings.admin_key, "MATCH_ADMIN_KEY")


def _queue(mode: GameMode, status: QueueStatus) -> dict[str, Any]:
    return {
        "game_mode": mode.name,
        "players_per_match": mode.players,
        "waiting": status.waiting,
        "held": status.held,
        "oldest_wait_seconds": status.oldest_wait_seconds,
        "loading": status.loading_sessions * mode.players,
        "allocating": status.allocating_sessions * mode.players,
        "loading_sessions": status.loading_sessions,
        "allocating_sessions": status.allocating_sessions,
        "waiting_for_slot_sessions": status.unplaced_sessions,
        "matches_last_minute": status.matches_last_minute,
        "paused": status.paused,
    }


def _server(status: ServerStatus) -> dict[str, Any]:
    record = status.record
    return {
        "server_id": status.server_id,
        "address": record["address"],
        "control_url": record["control_url"],
        "capacity": int(record["capacity"]),
        "active": status.active,
        "reserved": status.reserved,
        "free": status.free,
        "state": _server_state(record),
        "lease_seconds_left": round(status.lease_seconds_left, 3),
        "batch": record["batch"] == "1",
        "game_modes": record["game_modes"].split(",") if record["game_modes"] else None,
        "region": record["region"] or None,
        "incarnation": record["incarnation"] or None,
        "failures": int(record.get("failures", 0)),
    }


def _server_state(record: dict[str, str]) -> str:
    if record["state"] != "live":
        return record["state"]
    if "quarantined_until" in record:
        return "quarantined"
    return "full" if "full" in record else "live"


def _player(player_id: str, status: PlayerStatus) -> dict[str, Any]:
    """What an operator may see of a player: never its resume token."""
    return {
        "player_id": player_id,
        "state": status.state,
        "game_mode": status.game_mode,
        "since": status.since,
        "since_seconds": round(status.since_seconds, 3),
        "enqueued_at": status.enqueued_at,
        "node": status.node,
        "connected": status.connected,
        "held": status.held,
        "loading_session_id": status.loading_session_id,
        "session_id": status.session_id,
    }
