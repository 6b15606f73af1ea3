"""HTTP for dedicated servers: register, heartbeat, leave, and the end of a session."""

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.actors.core import ActorSystem
from match_server.config import Settings
from match_server.errors import RegistrationRefused, StoreUnavailable
from match_server.events.node import Events, ServerIdTaken, ServerRefused
from match_server.matching.game_modes import GameModes
from match_server.protocol import SERVER_ID_PATTERN, SESSION_ID_PATTERN
from match_server.servers.addresses import check_control_url
from match_server.servers.provider import FLEET_ID_PREFIX
from match_server.servers.reachability import why_unreachable
from match_server.store.registry import Registration, RegistryStore
from match_server.web import doubts
from match_server.web.access import authorize
from match_server.web.bodies import EndBody, EndManyBody, HeartbeatBody, RegisterBody, read_body
from match_server.web.problems import Refused

log = structlog.get_logger(__name__)

_SERVER_ID = re.compile(SERVER_ID_PATTERN)
_SESSION_ID = re.compile(SESSION_ID_PATTERN)
_HEARTBEATS_PER_LEASE = 3
_TRIED_AFTER_SECONDS = 1.0  # a server may register before it listens
_TRIED_AT_ONCE = 64
_LONGEST_RESULT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Fleet:
    """The dedicated servers of one pool."""

    registry: RegistryStore
    modes: GameModes
    events: Events


class ServerEndpoints:
    """The calls of dedicated servers. Each needs MATCH_SERVER_KEY, where one is set.

    A registration says for which pool it is. A server is in one pool; the other calls find it by its id.
    """

    def __init__(self, *, settings: Settings, fleets: Mapping[str, Fleet], system: ActorSystem) -> None:
        """`fleets` are those of each pool, by its name.

        `system` owns the tries of control URLs, which go on after the answer to a registration.
        """
        self._settings = settings
        self._fleets = fleets
        self._system = system
        self._tries = asyncio.Semaphore(_TRIED_AT_ONCE)

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/servers", self.register, methods=["POST"]),
            Route("/servers/{server_id}/heartbeat", self.heartbeat, methods=["PUT"]),
            Route("/servers/{server_id}/sessions/end", self.end_many, methods=["POST"]),
            Route("/servers/{server_id}/sessions/{session_id}/end", self.end, methods=["POST"]),
            Route("/servers/{server_id}", self.remove, methods=["DELETE"]),
        ]

    async def register(self, request: Request) -> Response:
        """`POST /servers`: 201 with the server's id and how often it must send a heartbeat."""
        try:
            return await self._register(request)
        except Refused as error:
            peer = request.client.host if request.client else None
            self._any.events.record(ServerRefused(error.status, error.detail, peer))
            raise

    async def _register(self, request: Request) -> Response:
        self._authorize(request)
        body = await read_body(request, RegisterBody)
        if self._settings.agones and (body.server_id or "").startswith(FLEET_ID_PREFIX):
            raise Refused(
                422,
                f"server_id: those that begin with {FLEET_ID_PREFIX} belong to the fleets of MATCH_AGONES",
            )
        try:
            endpoint = await check_control_url(body.control_url, self._settings.server_networks)
        except RegistrationRefused as error:
            raise Refused(422, str(error)) from None
        server_id = body.server_id or str(uuid.uuid4())
        server = Registration(
            server_id=server_id,
            incarnation=body.incarnation or "",
            control_url=body.control_url,
            endpoint=endpoint.url,
            host=endpoint.host,
            address=body.address,
            capacity=body.capacity,
            batch=bool(body.batch),
            max_session_seconds=body.max_session_seconds,
            game_modes=tuple(body.game_modes or ()),
            region=body.region or "",
            active_sessions=tuple(body.active_sessions or ()),
        )
        fleet = self._fleet(body.pool)
        code = await fleet.registry.register(server)
        for other in self._fleets.values():
            if other is not fleet:
                await other.registry.remove(server_id)
        warnings = doubts.unknown_fields(body) + doubts.unknown_modes(server.game_modes, list(fleet.modes))
        if code != "renewed":
            log.info(
                "server_registered",
                server_id=server_id,
                control_url=server.control_url,
                capacity=server.capacity,
                how=code,
                **({"warnings": warnings} if warnings else {}),
            )
            self._system.own(self._try_control_url(fleet, server), name="try-control-url")
        lease = self._settings.server_lease_seconds
        return JSONResponse(
            {
                "server_id": server_id,
                "heartbeat_seconds": lease / _HEARTBEATS_PER_LEASE,
                "lease_seconds": lease,
                "warnings": warnings,
            },
            status_code=201,
        )

    async def _try_control_url(self, fleet: Fleet, server: Registration) -> None:
        """Connect once to a server that has just registered; tell operators and the server where nothing answers."""
        await asyncio.sleep(_TRIED_AFTER_SECONDS)
        async with self._tries:
            why = await why_unreachable(server.endpoint, within_seconds=self._settings.allocation_timeout_seconds)
        if why is None:
            return
        warning = doubts.unreachable(server.control_url, why)
        try:
            noted = await fleet.registry.note_unreachable(server.server_id, server.incarnation, warning)
        except StoreUnavailable:
            noted = True  # it may have been
        if noted:
            log.warning(
                "control_url_unreachable", server_id=server.server_id, control_url=server.control_url, error=why
            )

    async def heartbeat(self, request: Request) -> Response:
        """`PUT /servers/{server_id}/heartbeat`: 200 with the sessions to end.

        404 means register again; 409 that another process has registered under this id since.
        """
        self._authorize(request)
        server_id = _server_id(request)
        body = await read_body(request, HeartbeatBody, empty=b"{}")
        for fleet in self._fleets.values():
            heard = await fleet.registry.heartbeat(
                server_id,
                incarnation=body.incarnation or "",
                draining=body.draining,
                active_sessions=body.active_sessions,
            )
            if heard.code != "unknown":
                break
        if heard.code == "unknown":
            raise Refused(404, "no such server; register again")
        if heard.code == "taken":
            peer = request.client.host if request.client else None
            fleet.events.record(ServerIdTaken(server_id, peer))
            raise Refused(
                409,
                f"another process has registered as {server_id} after this one; each server needs its own server_id",
            )
        if heard.to_end:
            log.info("sessions_to_end", server_id=server_id, session_ids=heard.to_end[:20], count=len(heard.to_end))
        warnings = doubts.unknown_fields(body) + ([heard.unreachable] if heard.unreachable else [])
        return JSONResponse({"end": heard.to_end, "warnings": warnings})

    async def end(self, request: Request) -> Response:
        """`POST /servers/{server_id}/sessions/{session_id}/end`: 204, also when it is repeated. May bring a result."""
        self._authorize(request)
        server_id = _server_id(request)
        session_id = request.path_params["session_id"]
        if not _SESSION_ID.fullmatch(session_id):
            raise Refused(422, "session_id: expected 1 to 128 characters of A-Z a-z 0-9 _ . @ : -")
        body = await read_body(request, EndBody, empty=b"{}")
        return await self._end(server_id, {session_id: _result(session_id, body.result)})

    async def end_many(self, request: Request) -> Response:
        """`POST /servers/{server_id}/sessions/end`: the same for up to 1,000 sessions."""
        self._authorize(request)
        server_id = _server_id(request)
        body = await read_body(request, EndManyBody)
        if not body.model_fields_set & {"session_ids", "sessions"}:
            raise Refused(422, "session_ids: expected, or sessions")
        results = dict.fromkeys(body.session_ids, "")
        results |= {session.session_id: _result(session.session_id, session.result) for session in body.sessions}
        return await self._end(server_id, results)

    async def _end(self, server_id: str, results: Mapping[str, str]) -> Response:
        for fleet in self._fleets.values():
            ended = await fleet.registry.end_sessions(server_id, results)
            if ended is None:
                continue
            if ended:
                log.info("session_ended", server_id=server_id, session_ids=ended)
            return Response(status_code=204)
        raise Refused(404, "no such server; register again")

    async def remove(self, request: Request) -> Response:
        """`DELETE /servers/{server_id}`: 204, also when there is no such server."""
        self._authorize(request)
        server_id = request.path_params["server_id"]
        if _SERVER_ID.fullmatch(server_id):  # no other can have registered
            for fleet in self._fleets.values():
                lost_sessions = await fleet.registry.remove(server_id)
                if lost_sessions is not None:
                    log.info("server_removed", server_id=server_id, sessions=lost_sessions)
        return Response(status_code=204)

    @property
    def _any(self) -> Fleet:
        return next(iter(self._fleets.values()))

    def _fleet(self, pool: str | None) -> Fleet:
        """The fleet of the pool that a registration names, or of the first."""
        if pool is None:
            return self._any
        if pool not in self._fleets:
            raise Refused(422, f"pool: no such pool; there is {', '.join(filter(None, self._fleets)) or 'only one'}")
        return self._fleets[pool]

    def _authorize(self, request: Request) -> None:
        authorize(request, self._settings.server_key, "MATCH_SERVER_KEY", self._settings.allowed_origins)


def _server_id(request: Request) -> str:
    server_id: str = request.path_params["server_id"]
    if not _SERVER_ID.fullmatch(server_id):
        raise Refused(404, "no such server; register again")
    return server_id


def _result(session_id: str, result: Any) -> str:
    """What a server says of a session that is over, as JSON without white space; empty where it says nothing."""
    if result is None:
        return ""
    text = to_json(result)
    if len(text) > _LONGEST_RESULT_BYTES:
        raise Refused(413, f"result of {session_id}: {len(text)} bytes of JSON; at most {_LONGEST_RESULT_BYTES}")
    return text.decode()
