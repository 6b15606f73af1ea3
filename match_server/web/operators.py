"""HTTP for operators: queues, players, dedicated servers."""

import re
from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.actors.explanations import Explanations
from match_server.actors.inquiries import InquiriesPort
from match_server.matching.game_modes import GameModes
from match_server.matching.modes import GameMode
from match_server.protocol import PLAYER_ID_PATTERN, SERVER_ID_PATTERN
from match_server.store.blocked_by import BlockedBy, blocked_by
from match_server.store.operators import OperatorStore, PlayerStatus, QueueStatus
from match_server.store.registry import RegistryStore, ServerStatus
from match_server.web import answers
from match_server.web.access import OperatorAccess
from match_server.web.problems import Refused

_PLAYER_ID = re.compile(PLAYER_ID_PATTERN)
_SERVER_ID = re.compile(SERVER_ID_PATTERN)
# What `GET /queues/{game_mode}` shows of what only the mode's proposer knows.
_OF_PROPOSER = (
    "proposer",
    "regions_without_slot",
    "windows",
    "acceptable_difference",
    "last_matches",
    "proposals_per_minute",
    "conflicts_per_minute",
)


class OperatorEndpoints:
    """What operators look at. Each call needs a key of theirs, where keys are set."""

    def __init__(
        self,
        *,
        access: OperatorAccess,
        registry: RegistryStore,
        store: OperatorStore,
        inquiries: InquiriesPort,
        explanations: Explanations,
        modes: GameModes,
    ) -> None:
        self._modes = modes
        self._access = access
        self._registry = registry
        self._store = store
        self._inquiries = inquiries
        self._explanations = explanations

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/servers", self.servers, methods=["GET"]),
            Route("/servers/{server_id}", self.server, methods=["GET"]),
            Route("/queues", self.queues, methods=["GET"]),
            Route("/queues/{game_mode}", self.queue, methods=["GET"]),
            Route("/players/{player_id}", self.player, methods=["GET"]),
            Route("/players/{player_id}/explanation", self.explanation, methods=["GET"]),
        ]

    async def servers(self, request: Request) -> Response:
        """`GET /servers`: every dedicated server and its slots."""
        self._access.authorize(request)
        return JSONResponse({"servers": [server_answer(status) for status in await self._registry.servers()]})

    async def server(self, request: Request) -> Response:
        """`GET /servers/{server_id}`: one of them."""
        self._access.authorize(request)
        server_id = request.path_params["server_id"]
        status = await self._registry.server(server_id) if _SERVER_ID.fullmatch(server_id) else None
        if status is None:
            raise Refused(404, "no such server")
        return JSONResponse(server_answer(status))

    async def queues(self, request: Request) -> Response:
        """`GET /queues`: every game mode."""
        self._access.authorize(request)
        modes = zip(self._modes.values(), await self._statuses(list(self._modes)), strict=True)
        shown = [queue_answer(mode, status, await blocked_by(mode, status, self._registry)) for mode, status in modes]
        return JSONResponse({"queues": shown})

    async def queue(self, request: Request) -> Response:
        """`GET /queues/{game_mode}`."""
        self._access.authorize(request)
        mode = self._mode(request)
        (status,) = await self._statuses([mode.name])
        overview = (await self._inquiries.overview(mode.name) or {}) if mode.by_rules else {}
        reason = await blocked_by(mode, status, self._registry, overview.get("regions_without_slot") or ())
        shown = queue_answer(mode, status, reason)
        if mode.by_rules:
            return JSONResponse({**shown, **{name: overview.get(name) for name in _OF_PROPOSER}})
        return JSONResponse(shown)

    async def player(self, request: Request) -> Response:
        """`GET /players/{player_id}`: state, since when, session, node; 404 without a record."""
        return JSONResponse(_player(*await self._player(request)))

    async def explanation(self, request: Request) -> Response:
        """`GET /players/{player_id}/explanation`: why it is not matched; 404 unless it gathers or waits.

        In a mode that is drawn at random, and without an answer of its proposer: `stage` and `waiting` alone.
        """
        player_id, status = await self._player(request)
        explanation = await self._explanations.explain(player_id, status)
        if explanation is None:
            raise Refused(404, f"this player does not wait: it is {status.state}")
        return JSONResponse(explanation)

    async def _player(self, request: Request) -> tuple[str, PlayerStatus]:
        self._access.authorize(request)
        player_id = request.path_params["player_id"]
        if not _PLAYER_ID.fullmatch(player_id):
            raise Refused(422, "player_id: expected 1 to 64 characters of A-Z a-z 0-9 _ . @ : -")
        status = await self._store.player(player_id)
        if status is None:
            raise Refused(404, "no such player: in no queue, and in no match of the last two minutes")
        return player_id, status

    async def _statuses(self, game_modes: Sequence[str]) -> list[QueueStatus]:
        return closed_are_paused(await self._store.queues(game_modes), self._modes)

    def _mode(self, request: Request) -> GameMode:
        mode = self._modes.get(request.path_params["game_mode"])
        if mode is None:
            raise Refused(404, "no such game mode")
        return mode


def closed_are_paused(statuses: Sequence[QueueStatus], modes: GameModes) -> list[QueueStatus]:
    """A mode that a reload has removed is paused, as far as this node is concerned."""
    return [replace(status, paused=True) if modes.is_closed(status.game_mode) else status for status in statuses]


def queue_answer(mode: GameMode, status: QueueStatus, reason: BlockedBy | None) -> answers.Queue:
    """A queue as operators see it."""
    return {
        "game_mode": mode.name,
        "players_per_match": mode.players,
        "waiting": status.waiting,
        "tickets_waiting": status.tickets if mode.by_rules else status.waiting,
        "held": status.held,
        "wait_seconds": status.wait_percentiles,
        "oldest_wait_seconds": status.oldest_wait_seconds,
        "loading": status.loading_sessions * mode.players,
        "allocating": status.allocating_sessions * mode.players,
        "loading_sessions": status.loading_sessions,
        "allocating_sessions": status.allocating_sessions,
        "waiting_for_slot_sessions": status.unplaced_sessions,
        "matches_last_minute": status.matches_last_minute,
        "paused": status.paused,
        "blocked_by": reason,
        "rules_version": mode.rules_version if mode.by_rules else None,
    }


def server_answer(status: ServerStatus) -> answers.Server:
    """A dedicated server as operators see it."""
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
        "last_error": record.get("last_error"),
        "last_error_at": int(record["last_error_at_us"]) / 1_000_000 if "last_error_at_us" in record else None,
        "retry_in_seconds": status.retry_seconds,
    }


def _server_state(record: dict[str, str]) -> answers.ServerState:
    if record["state"] == "draining":
        return "draining"
    if "quarantined_until" in record:
        return "quarantined"
    return "full" if "full" in record else "live"


def _player(player_id: str, status: PlayerStatus) -> answers.Player:
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
