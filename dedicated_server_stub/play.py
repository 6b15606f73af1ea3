"""The players' WebSocket, `/play/{session_id}?player_id=…`: one reader and one writer per connection."""

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect

from dedicated_server_stub.game import Game
from dedicated_server_stub.rooms import Seat

NOT_A_PLAYER = 4403
UNKNOWN_SESSION = 4404


async def play(websocket: WebSocket, game: Game) -> None:
    """Serve one player from joining to leaving.

    A stranger is accepted before it is turned away: a close before that reaches a client as HTTP 403, without
    the code that says why.
    """
    await websocket.accept()
    session = game.sessions.get(websocket.path_params["session_id"])
    if session is None:
        await _close(websocket, UNKNOWN_SESSION, "no such session")
        return
    player_id = websocket.query_params.get("player_id")
    if player_id not in session.players:
        await _close(websocket, NOT_A_PLAYER, "not a player of this session")
        return
    seat = game.rooms.enter(session, player_id)
    try:
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(_write(websocket, seat))
            await _read(websocket, game, session.session_id, seat)
            writer.cancel()  # after our own close it has ended already
    finally:
        game.leave(session.session_id, seat)


async def _read(websocket: WebSocket, game: Game, session_id: str, seat: Seat) -> None:
    """Pass on what the player says until the connection ends; binary frames are ignored.

    uvicorn hands out `websocket.disconnect` after a close of ours too.
    """
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        text = message.get("text")
        if text is not None:
            game.rooms.say(session_id, seat, text)


async def _write(websocket: WebSocket, seat: Seat) -> None:
    """Send what waits for the player, then close when the seat says so."""
    try:
        while True:
            await seat.changed.wait()
            seat.changed.clear()
            while seat.frames:
                await websocket.send_text(seat.frames.popleft())
            if seat.close_code is not None:
                await websocket.close(seat.close_code)
                return
    except WebSocketDisconnect:
        return  # the reader sees it too


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    try:
        await websocket.close(code, reason)
    except WebSocketDisconnect:
        return  # it did not wait for the reason
