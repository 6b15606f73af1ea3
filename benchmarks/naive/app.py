"""A matchmaker as one would write it first: honest, correct on a good day, and with nothing batched.

One pub/sub connection per player carries that player's notices. Each enqueue tries to form one match with a small Lua
script, and a periodic tick forms what is left, match by match. A hash counts who has loaded; the last one to load has
its node POST to a dedicated server, one call per match. It speaks the wire messages of the real service, so the same
load generator drives both. What it leaves out (leases, resumption, requeueing, slots) only makes it faster.
"""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

_TICK_SECONDS = 0.1
_LOADING_TIMEOUT_SECONDS = 60
_AT_A_TIME = 50
_CALLS_AT_A_TIME = (
    10  # httpx' pool looks through all its waiting requests each time: thousands of them bring it to a halt
)
_POP_MATCH = """
if redis.call('SCARD', KEYS[1]) < tonumber(ARGV[1]) then return {} end
return redis.call('SPOP', KEYS[1], ARGV[1])
"""


class NaiveMatchmaker:
    """Everything there is: the queue, the loading sessions, the calls to dedicated servers."""

    def __init__(self, redis_url: str, players: int) -> None:
        # Subscriptions keep their connections; commands share a few. redis-py's default timeouts end thousands of
        # simultaneous connects with an error, so they are longer, and so many connect at a time.
        options: dict[str, Any] = {"decode_responses": True, "socket_timeout": 60, "socket_connect_timeout": 60}
        self._subscriptions: Redis = Redis.from_url(redis_url, max_connections=100_000, **options)
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(redis_url, max_connections=_AT_A_TIME, timeout=None, **options)
        )
        self._connecting = asyncio.Semaphore(_AT_A_TIME)
        self._pop_match = self._redis.register_script(_POP_MATCH)
        self._players = players
        self._http = httpx.AsyncClient()
        self._calls = asyncio.Semaphore(_CALLS_AT_A_TIME)
        self._modes: set[str] = set()

    @asynccontextmanager
    async def running(self, _app: Starlette) -> AsyncIterator[None]:
        """Tick while the application runs."""
        ticking = asyncio.create_task(self._tick())
        yield
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await self._http.aclose()
        await self._redis.aclose()
        await self._subscriptions.aclose()

    async def play(self, websocket: WebSocket) -> None:
        """One player's connection."""
        await websocket.accept()
        player_id = game_mode = ""
        listening: asyncio.Task[None] | None = None
        try:
            while True:
                message = await websocket.receive_json()
                match message["type"]:
                    case "enqueue":
                        player_id, game_mode = message["player_id"], message["game_mode"]
                        pubsub = self._subscriptions.pubsub()
                        async with self._connecting:
                            await pubsub.subscribe(f"notifications:{player_id}")
                        listening = asyncio.create_task(self._forward(pubsub, websocket))
                        await self._redis.sadd(f"queue:{game_mode}", player_id)
                        await websocket.send_text(_text({"type": "queued", "game_mode": game_mode}))
                        self._modes.add(game_mode)
                        await self._try_match(game_mode)
                    case "loading_complete":
                        await self._ready(player_id, message["loading_session_id"])
                    case "dequeue":
                        await self._redis.srem(f"queue:{game_mode}", player_id)
                        await websocket.send_text(_text({"type": "dequeued", "reason": "requested"}))
        except WebSocketDisconnect:
            pass
        finally:
            if listening:
                listening.cancel()
                await self._redis.srem(f"queue:{game_mode}", player_id)

    async def register(self, request: Request) -> Response:
        """`POST /servers`."""
        body = await request.json()
        await self._redis.hset("servers", body["server_id"], body["control_url"])
        return JSONResponse({"server_id": body["server_id"], "heartbeat_seconds": 5, "lease_seconds": 15}, 201)

    async def heartbeat(self, _request: Request) -> Response:
        """`PUT /servers/{server_id}/heartbeat`."""
        return JSONResponse({"end": []})

    async def remove(self, request: Request) -> Response:
        """`DELETE /servers/{server_id}`."""
        await self._redis.hdel("servers", request.path_params["server_id"])
        return Response(status_code=204)

    async def end(self, _request: Request) -> Response:
        """`POST /servers/{server_id}/sessions/end`: there are no slots to free."""
        return Response(status_code=204)

    async def _forward(self, pubsub: Any, websocket: WebSocket) -> None:
        try:
            async for notice in pubsub.listen():
                if notice["type"] == "message":
                    await websocket.send_text(notice["data"])
        except WebSocketDisconnect:
            pass
        finally:
            await pubsub.aclose()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            for game_mode in self._modes:
                while await self._try_match(game_mode):
                    pass

    async def _try_match(self, game_mode: str) -> bool:
        """Form one match, if there are players enough for one."""
        players = await self._pop_match(keys=[f"queue:{game_mode}"], args=[self._players])
        if not players:
            return False
        session = str(uuid.uuid4())
        frame = _text(
            {
                "type": "start_loading",
                "loading_session_id": session,
                "game_mode": game_mode,
                "players": players,
                "timeout_seconds": _LOADING_TIMEOUT_SECONDS,
            }
        )
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hset(f"loading:{session}", mapping=dict.fromkeys(players, "loading") | {"#game_mode": game_mode})
        pipeline.expire(f"loading:{session}", _LOADING_TIMEOUT_SECONDS)
        for player in players:
            pipeline.publish(f"notifications:{player}", frame)
        await pipeline.execute()
        return True

    async def _ready(self, player_id: str, session: str) -> None:
        """Note that a player has loaded; with the last one, get a server and tell everybody."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(f"loading:{session}", player_id, "ready")
        pipeline.hgetall(f"loading:{session}")
        _, fields = await pipeline.execute()
        game_mode = fields.pop("#game_mode", "")
        if len(fields) < self._players or any(state != "ready" for state in fields.values()):
            return
        servers: list[Any] = await self._redis.hvals("servers")
        async with self._calls:
            answer = await self._http.post(
                f"{random.choice(servers)}/session/create",  # noqa: S311 - any server will do
                headers={"Idempotency-Key": session},
                json={"session_id": session, "game_mode": game_mode, "players": list(fields)},
            )
        answer.raise_for_status()
        frame = _text({"type": "match_found", **answer.json(), "game_mode": game_mode, "players": list(fields)})
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(f"loading:{session}")
        for player in fields:
            pipeline.publish(f"notifications:{player}", frame)
        await pipeline.execute()


def create_app(redis_url: str, players: int) -> Starlette:
    """The application of one naive node."""
    matchmaker = NaiveMatchmaker(redis_url, players)
    return Starlette(
        routes=[
            WebSocketRoute("/ws/", matchmaker.play),
            Route("/servers", matchmaker.register, methods=["POST"]),
            Route("/servers/{server_id}/heartbeat", matchmaker.heartbeat, methods=["PUT"]),
            Route("/servers/{server_id}/sessions/end", matchmaker.end, methods=["POST"]),
            Route("/servers/{server_id}", matchmaker.remove, methods=["DELETE"]),
        ],
        lifespan=matchmaker.running,
    )


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))
