"""What operators ask of all rooms, of every process on the same presence: a list, and a notice to all players."""

import asyncio
import hashlib
import hmac
import uuid

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dedicated_server_stub.bodies import MAX_KEY_LENGTH, problem
from dedicated_server_stub.presence.calls import RoomCallFailed, RoomCallRefused, RoomCalls
from dedicated_server_stub.presence.interface import PresenceUnavailable
from dedicated_server_stub.presence.statistics import Statistics
from dedicated_server_stub.rooms.methods import NoticeArgs

CALL_SECONDS = 5.0
CALLS_AT_A_TIME = 64


class Operators:
    """The calls of operators.

    Args:
        statistics: of all rooms.
        calls: to all rooms.
        server_key: what a call that changes something brings as bearer token; None: it needs none.
        key_required: without a key such calls are refused.
    """

    def __init__(
        self, statistics: Statistics, calls: RoomCalls, *, server_key: str | None = None, key_required: bool = False
    ) -> None:
        self._statistics = statistics
        self._calls = calls
        self._server_key = server_key
        self._key_required = key_required

    def routes(self) -> list[BaseRoute]:
        """Make the routes."""
        return [
            Route("/rooms", self.list_rooms),
            Route("/rooms/broadcast", self.broadcast, methods=["POST"]),
        ]

    async def list_rooms(self, _request: Request) -> Response:
        """`GET /rooms`: the rooms of all processes."""
        try:
            processes = await self._statistics.read()
        except PresenceUnavailable as error:
            return problem(503, f"presence: {error}")
        return JSONResponse(
            {
                "rooms": [
                    {**msgspec.to_builtins(room), "process": process.process}
                    for process in processes
                    for room in process.rooms
                ],
                "processes": [{**msgspec.to_builtins(process), "rooms": len(process.rooms)} for process in processes],
            }
        )

    async def broadcast(self, request: Request) -> Response:
        """`POST /rooms/broadcast`: a notice to the players of all rooms; one `Idempotency-Key` tells each room once."""
        self._check_caller(request)
        key = request.headers.get("idempotency-key") or uuid.uuid4().hex
        if len(key) > MAX_KEY_LENGTH:
            return problem(422, f"Idempotency-Key: longer than {MAX_KEY_LENGTH}", field="Idempotency-Key")
        try:
            args = msgspec.json.decode(await request.body(), type=NoticeArgs)
        except msgspec.ValidationError as error:
            return problem(422, str(error))
        except msgspec.DecodeError:
            return problem(400, "the body is not JSON")
        try:
            rooms = [room.session_id for process in await self._statistics.read() for room in process.rooms]
        except PresenceUnavailable as error:
            return problem(503, f"presence: {error}")
        slots = asyncio.Semaphore(CALLS_AT_A_TIME)

        async def tell(room_id: str) -> bool:
            async with slots:
                try:
                    await self._calls.call(
                        room_id, "notice", {"text": args.text}, timeout_seconds=CALL_SECONDS, call_id=f"broadcast:{key}"
                    )
                except (RoomCallFailed, RoomCallRefused):
                    return False
                return True

        told = await asyncio.gather(*map(tell, rooms))
        failed = [room_id for room_id, reached in zip(rooms, told, strict=True) if not reached]
        return JSONResponse({"told": told.count(True), "failed": failed})

    def _check_caller(self, request: Request) -> None:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            # A page of another site can have a browser send the types of forms, and no other.
            raise HTTPException(415, "Content-Type: expected application/json")
        if self._server_key is None:
            if self._key_required:
                raise HTTPException(401, "Authorization: this server takes it with a --server-key alone")
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        digests = (hashlib.sha256(text.encode()).digest() for text in (token, self._server_key))
        if scheme.lower() != "bearer" or not hmac.compare_digest(*digests):
            raise HTTPException(401, "Authorization: expected the server key as bearer token")
