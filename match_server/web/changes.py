"""HTTP for operators: what they change. Each change is logged, with the label of the key that it was made with."""

import re
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.matching.game_modes import GameModes
from match_server.matching.modes import GameMode
from match_server.protocol import PLAYER_ID_PATTERN, SERVER_ID_PATTERN
from match_server.store.operators import OperatorStore, Position
from match_server.store.registry import RegistryStore
from match_server.web.access import OperatorAccess
from match_server.web.problems import Refused

log = structlog.get_logger(__name__)

_PLAYER_ID = re.compile(PLAYER_ID_PATTERN)
_SERVER_ID = re.compile(SERVER_ID_PATTERN)
_PLAYERS_PER_CALL = 100


@dataclass(frozen=True, slots=True)
class _Operator:
    """Who makes a change."""

    label: str  # of its key
    peer: str | None

    @property
    def for_log(self) -> dict[str, str | None]:
        return {"by": self.label, "peer": self.peer}


class ChangeEndpoints:
    """Each call needs a key with the role `operate`, where keys are set."""

    def __init__(
        self, *, access: OperatorAccess, modes: GameModes, registry: RegistryStore, store: OperatorStore
    ) -> None:
        self._access = access
        self._modes = modes
        self._registry = registry
        self._store = store

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/queues/{game_mode}/pause", self.pause, methods=["POST"]),
            Route("/queues/{game_mode}/resume", self.resume, methods=["POST"]),
            Route("/queues/{game_mode}/clear", self.clear, methods=["POST"]),
            Route("/players/{player_id}/journey", self.remove, methods=["DELETE"]),
            Route("/servers/{server_id}/drain", self.drain, methods=["POST"]),
        ]

    async def pause(self, request: Request) -> Response:
        """`POST /queues/{game_mode}/pause`: takes no enqueue and forms no match; who waits keeps waiting."""
        return await self._set_paused(request, paused=True)

    async def resume(self, request: Request) -> Response:
        """`POST /queues/{game_mode}/resume`."""
        return await self._set_paused(request, paused=False)

    async def clear(self, request: Request) -> Response:
        """`POST /queues/{game_mode}/clear`: takes everybody out who waits now; they are told `dequeued`, `operator`."""
        operator = self._operator(request)
        mode = self._mode(request)
        (queue,) = await self._store.queues([mode.name])
        removed = 0
        for _ in range(0, queue.waiting, _PLAYERS_PER_CALL):
            waiting, _ = await self._store.players(Position(mode.name, "waiting"), _PLAYERS_PER_CALL)
            ended = await self._store.remove(
                [player.player_id for player in waiting], players=mode.players, by=operator.label
            )
            removed += sum(each.code == "ok" for each in ended)
        log.info("queue_cleared", game_mode=mode.name, players=removed, **operator.for_log)
        return JSONResponse({"game_mode": mode.name, "removed": removed})

    async def remove(self, request: Request) -> Response:
        """`DELETE /players/{player_id}/journey`: out of its queue, or of a match that loads; 204.

        404 for a player in neither; 409 once its match is being placed or is found.
        """
        operator = self._operator(request)
        player_id = request.path_params["player_id"]
        if not _PLAYER_ID.fullmatch(player_id):
            raise Refused(422, "player_id: expected 1 to 64 characters of A-Z a-z 0-9 _ . @ : -")
        most = max(mode.players for mode in self._modes.values())
        (removed,) = await self._store.remove([player_id], players=most, by=operator.label)
        known: dict[str, Any] = {"state": removed.state, "loading_session_id": removed.loading_session_id}
        if removed.code == "not_in_queue":
            raise Refused(404, "no such player: in no queue, and in no match that loads")
        if removed.code == "too_late":
            raise Refused(409, f"too late: this player is {removed.state}", **known)
        log.info("player_removed", player_id=player_id, **operator.for_log, **known)
        return Response(status_code=204)

    async def drain(self, request: Request) -> Response:
        """`POST /servers/{server_id}/drain`: it gets no new sessions until its process has started anew."""
        operator = self._operator(request)
        server_id = request.path_params["server_id"]
        if not (_SERVER_ID.fullmatch(server_id) and await self._registry.drain(server_id, by=operator.label)):
            raise Refused(404, "no such server")
        log.info("server_drained", server_id=server_id, **operator.for_log)
        return JSONResponse({"server_id": server_id, "state": "draining"})

    async def _set_paused(self, request: Request, *, paused: bool) -> Response:
        operator = self._operator(request)
        mode = self._mode(request)
        if not paused and self._modes.is_closed(mode.name):
            raise Refused(409, "the mode is not in this node's settings any more, and stays paused until they have it")
        if await self._store.pause(mode.name, paused=paused, by=operator.label):
            log.info("queue_paused" if paused else "queue_resumed", game_mode=mode.name, **operator.for_log)
        return JSONResponse({"game_mode": mode.name, "paused": paused})

    def _operator(self, request: Request) -> _Operator:
        """Let the call through. Returns who makes it."""
        return _Operator(self._access.authorize(request), request.client.host if request.client else None)

    def _mode(self, request: Request) -> GameMode:
        mode = self._modes.get(request.path_params["game_mode"])
        if mode is None:
            raise Refused(404, "no such game mode")
        return mode
