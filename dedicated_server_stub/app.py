"""The HTTP and WebSocket routes of the server."""

from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from dedicated_server_stub.bodies import MAX_KEY_LENGTH, Batch, Create, invalid_body, problem
from dedicated_server_stub.faults import CallFault, Faults
from dedicated_server_stub.game import Game
from dedicated_server_stub.play import play
from dedicated_server_stub.sessions import Placed, Refusal

MAX_BODY_BYTES = 1024 * 1024


def create_app(game: Game, faults: Faults, *, server_id: str, play_address: str, batch: bool) -> Starlette:
    """Build the application.

    Args:
        game: the sessions.
        faults: the misbehaviour of the create calls.
        server_id: shown to operators.
        play_address: the base of the address given to players.
        batch: whether `POST /sessions/create` exists.

    """
    api = _Api(game, faults, server_id=server_id, play_address=play_address)
    routes: list[BaseRoute] = [
        Route("/session/create", api.create, methods=["POST"]),
        Route("/sessions", api.list_sessions),
        Route("/healthz", api.healthz),
        WebSocketRoute("/play/{session_id}", api.play),
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
    def __init__(self, game: Game, faults: Faults, *, server_id: str, play_address: str) -> None:
        self._game = game
        self._faults = faults
        self._server_id = server_id
        self._play_address = play_address

    async def create(self, request: Request) -> Response:
        body = Create.model_validate_json(await request.body())
        key = request.headers.get("idempotency-key") or body.session_id
        if len(key) > MAX_KEY_LENGTH:
            return problem(422, f"Idempotency-Key: longer than {MAX_KEY_LENGTH}", field="Idempotency-Key")
        fault = self._faults.of_call()
        if fault is CallFault.FAIL:
            return problem(500, "failing on purpose (--fail-rate)")
        result = self._place(key, body)
        await self._faults.hold(fault)
        if isinstance(result, Placed):
            return JSONResponse(self._answer(result), status_code=201 if result.first else 200)
        status = 409 if result is Refusal.CONFLICT else 503
        return problem(status, f"no session created: {result}", error=result)

    async def create_batch(self, request: Request) -> Response:
        batch = Batch.model_validate_json(await request.body())
        fault = self._faults.of_call()
        if fault is CallFault.FAIL:
            return problem(500, "failing on purpose (--fail-rate)")
        answers = []
        for entry in batch.sessions:
            result = self._place(entry.idempotency_key, entry)
            answer = self._answer(result) if isinstance(result, Placed) else {"error": result}
            answers.append({"idempotency_key": entry.idempotency_key, **answer})
        await self._faults.hold(fault)
        return JSONResponse({"sessions": answers})

    async def list_sessions(self, _request: Request) -> Response:
        sessions = self._game.sessions
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
                        "present": self._game.rooms.present(session.session_id),
                        "seconds_left": sessions.seconds_left(session),
                    }
                    for session in sessions.live()
                ],
            }
        )

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def play(self, websocket: WebSocket) -> None:
        await play(websocket, self._game)

    def _place(self, key: str, body: Create) -> Placed | Refusal:
        sessions = self._game.sessions
        if self._faults.refuses() and (refusal := sessions.refuse_on_purpose(key)):
            return refusal
        return sessions.create(key=key, session_id=body.session_id, game_mode=body.game_mode, players=body.players)

    def _answer(self, placed: Placed) -> dict[str, Any]:
        return {
            "session_id": placed.session_id,
            "server_address": f"{self._play_address}/play/{placed.session_id}",
        }


async def _on_invalid_body(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)  # noqa: S101 - Starlette's handlers are typed for any exception
    return invalid_body(error)


async def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's handlers are typed for any exception
    return problem(error.status_code, error.detail)


async def _on_body_cut_short(_request: Request, _error: Exception) -> Response:
    """A node that was killed while it asked: no bug of ours to log. Nobody reads this any more."""
    return problem(400, "the body ended early")
