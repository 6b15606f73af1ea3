"""HTTP for dedicated servers: register, heartbeat, leave, and the end of a session."""

import re
import uuid

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.config import Settings
from match_server.errors import RegistrationRefused
from match_server.protocol import SERVER_ID_PATTERN, SESSION_ID_PATTERN
from match_server.servers.addresses import check_control_url
from match_server.store.registry import Registration, RegistryStore
from match_server.web.access import require_key
from match_server.web.bodies import HeartbeatBody, RegisterBody, read_body
from match_server.web.problems import Refused

log = structlog.get_logger(__name__)

_SERVER_ID = re.compile(SERVER_ID_PATTERN)
_SESSION_ID = re.compile(SESSION_ID_PATTERN)
_HEARTBEATS_PER_LEASE = 3


class ServerEndpoints:
    """The calls of dedicated servers. Each needs MATCH_SERVER_KEY, where one is set."""

    def __init__(self, *, settings: Settings, registry: RegistryStore) -> None:
        self._settings = settings
        self._registry = registry

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/servers", self.register, methods=["POST"]),
            Route("/servers/{server_id}/heartbeat", self.heartbeat, methods=["PUT"]),
            Route("/servers/{server_id}/sessions/{session_id}/end", self.end, methods=["POST"]),
            Route("/servers/{server_id}", self.remove, methods=["DELETE"]),
        ]

    async def register(self, request: Request) -> Response:
        """`POST /servers`: 201 with the server's id and how often it is to be heard."""
        self._authorize(request)
        body = await read_body(request, RegisterBody)
        try:
            endpoint = await check_control_url(body.control_url, self._settings.server_networks)
        except RegistrationRefused as error:
            raise Refused(422, str(error)) from None
        server_id = body.server_id or str(uuid.uuid4())
        code = await self._registry.register(
            Registration(
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
        )
        if code != "renewed":
            log.info("server_registered", server_id=server_id, endpoint=endpoint.url, capacity=body.capacity, how=code)
        lease = self._settings.server_lease_seconds
        return JSONResponse(
            {"server_id": server_id, "heartbeat_seconds": lease / _HEARTBEATS_PER_LEASE, "lease_seconds": lease},
            status_code=201,
        )

    async def heartbeat(self, request: Request) -> Response:
        """`PUT /servers/{server_id}/heartbeat`: 200 with the sessions to end; 404 means register again."""
        self._authorize(request)
        server_id = _server_id(request)
        body = await read_body(request, HeartbeatBody, empty=b"{}")
        to_end = await self._registry.heartbeat(server_id, draining=body.draining, active_sessions=body.active_sessions)
        if to_end is None:
            raise Refused(404, "no such server; register again")
        if to_end:
            log.info("sessions_to_end", server_id=server_id, session_ids=to_end[:20], count=len(to_end))
        return JSONResponse({"end": to_end})

    async def end(self, request: Request) -> Response:
        """`POST /servers/{server_id}/sessions/{session_id}/end`: 204, however often it is said."""
        self._authorize(request)
        server_id = _server_id(request)
        session_id = request.path_params["session_id"]
        if not _SESSION_ID.fullmatch(session_id):
            raise Refused(422, "session_id: expected 1 to 128 characters of A-Z a-z 0-9 _ . @ : -")
        if not await self._registry.end_session(server_id, session_id):
            raise Refused(404, "no such server; register again")
        log.info("session_ended", server_id=server_id, session_id=session_id)
        return Response(status_code=204)

    async def remove(self, request: Request) -> Response:
        """`DELETE /servers/{server_id}`: 204, also when there is no such server."""
        self._authorize(request)
        server_id = request.path_params["server_id"]
        if _SERVER_ID.fullmatch(server_id):  # no other can have registered
            await self._registry.remove(server_id)
            log.info("server_removed", server_id=server_id)
        return Response(status_code=204)

    def _authorize(self, request: Request) -> None:
        require_key(request.headers, self._settings.server_key, "MATCH_SERVER_KEY")


def _server_id(request: Request) -> str:
    server_id: str = request.path_params["server_id"]
    if not _SERVER_ID.fullmatch(server_id):
        raise Refused(404, "no such server; register again")
    return server_id
