"""The HTTP and WebSocket routes of the server."""

from collections.abc import Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from dedicated_server_stub.bodies import MAX_KEY_LENGTH, Batch, Create, invalid_body, problem
from dedicated_server_stub.call_tokens import CallTokens, UnknownKey
from dedicated_server_stub.faults import CallFault, Faults
from dedicated_server_stub.hosting import Host
from dedicated_server_stub.operators import Operators
from dedicated_server_stub.play_page import page_routes
from dedicated_server_stub.players import PlayersSocket
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.sessions import Placed, Refusal

MAX_BODY_BYTES = 1024 * 1024


def create_app(
    host: Host,
    faults: Faults,
    calls: CallTokens,
    operators: Operators,
    *,
    server_id: str,
    batch: bool,
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """Build the application.

    Args:
        host: the sessions.
        faults: the misbehaviour of the create calls.
        calls: decides who may have sessions created.
        operators: what is asked of all rooms.
        server_id: shown to operators.
        batch: whether `POST /sessions/create` exists.
        more: routes beside these, `room_routes` where the rooms are in this process.

    """
    api = _Api(host, faults, calls, server_id=server_id)
    routes: list[BaseRoute] = [
        Route("/session/create", api.create, methods=["POST"]),
        Route("/sessions", api.list_sessions),
        Route("/healthz", healthz),
        *operators.routes(),
        *more,
    ]
    if batch:
        routes.append(Route("/sessions/create", api.create_batch, methods=["POST"]))
    return Starlette(
        routes=routes,
        exception_handlers={
            ValidationError: _on_invalid_body,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_body_cut_short,
        },
        max_body_size=MAX_BODY_BYTES,
    )


class _Api:
    def __init__(self, host: Host, faults: Faults, calls: CallTokens, *, server_id: str) -> None:
        self._host = host
        self._calls = calls
        self._faults = faults
        self._server_id = server_id

    async def create(self, request: Request) -> Response:
        body = Create.model_validate_json(await self._from_match_server(request))
        key = request.headers.get("idempotency-key") or body.session_id
        if key != body.session_id and "authorization" in request.headers:
            # The signature covers the body alone: with another key the same call would make one more session.
            return problem(401, "Idempotency-Key: expected the session_id of the signed body")
        if len(key) > MAX_KEY_LENGTH:
            return problem(422, f"Idempotency-Key: longer than {MAX_KEY_LENGTH}", field="Idempotency-Key")
        fault = self._faults.of_call()
        if fault is CallFault.FAIL:
            return problem(500, "failing on purpose (--fail-rate)")
        result = await self._place(key, body)
        await self._faults.hold(fault)
        if isinstance(result, Placed):
            return JSONResponse(self._answer(result), status_code=201 if result.first else 200)
        status = 409 if result is Refusal.CONFLICT else 503
        return problem(status, f"no session created: {result}", error=result)

    async def create_batch(self, request: Request) -> Response:
        batch = Batch.model_validate_json(await self._from_match_server(request))
        fault = self._faults.of_call()
        if fault is CallFault.FAIL:
            return problem(500, "failing on purpose (--fail-rate)")
        answers = []
        for entry in batch.sessions:
            result = await self._place(entry.idempotency_key, entry)
            answer = self._answer(result) if isinstance(result, Placed) else {"error": result}
            answers.append({"idempotency_key": entry.idempotency_key, **answer})
        await self._faults.hold(fault)
        return JSONResponse({"sessions": answers})

    async def _from_match_server(self, request: Request) -> bytes:
        """The body of a call that the match server makes; others end with 401."""
        body = await request.body()
        try:
            refusal = await self._calls.refusal(request.headers.get("authorization", ""), body)
        except UnknownKey:  # not a 4xx, which would blame the match
            raise HTTPException(503, "Authorization: the token's key is not known here") from None
        if refusal:
            raise HTTPException(401, refusal)
        return body

    async def list_sessions(self, _request: Request) -> Response:
        sessions = self._host.sessions
        return JSONResponse(
            {
                "server_id": self._server_id,
                "capacity": sessions.capacity,
                "draining": sessions.draining,
                "created": sessions.created,
                "ended": sessions.ended,
                "refused": sessions.refused,
                "sessions": [
                    {
                        "session_id": session.session_id,
                        "game_mode": session.game_mode,
                        "players": session.players,
                        "present": self._host.rooms.present(session.session_id),
                        "seconds_left": sessions.seconds_left(session),
                    }
                    for session in sessions.live()
                ],
            }
        )

    async def _place(self, key: str, body: Create) -> Placed | Refusal:
        if self._faults.refuses() and (refusal := self._host.sessions.refuse_on_purpose(key)):
            return refusal
        return await self._host.place(
            key=key, session_id=body.session_id, game_mode=body.game_mode, players=body.players
        )

    def _answer(self, placed: Placed) -> dict[str, Any]:
        return {"session_id": placed.session_id, "server_address": self._host.rooms.address(placed.session_id)}


def room_routes(rooms: Rooms, players: PlayersSocket) -> list[BaseRoute]:
    """Make the routes of a process that runs rooms."""

    async def metrics(_request: Request) -> Response:
        return Response(rooms.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/metrics", metrics), *page_routes(), WebSocketRoute("/play/{session_id}", players.serve)]


async def healthz(_request: Request) -> Response:
    """The process is alive."""
    return JSONResponse({"status": "ok"})


async def _on_invalid_body(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)  # noqa: S101 - Starlette's handlers are typed for any exception
    return invalid_body(error)


async def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's handlers are typed for any exception
    return problem(error.status_code, error.detail)


async def _on_body_cut_short(_request: Request, _error: Exception) -> Response:
    """A node that was killed while it asked: no bug of ours to log. Nobody reads this any more."""
    return problem(400, "the body ended early")
