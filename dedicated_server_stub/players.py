"""The players' WebSocket, `/play/{session_id}`: who comes in, and one reader and one writer for each."""

import asyncio
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from dedicated_server_stub.join_tokens import Claims, JoinTokens
from dedicated_server_stub.metrics import RoomMetrics
from dedicated_server_stub.rooms import frames
from dedicated_server_stub.rooms.close_codes import RoomClose
from dedicated_server_stub.rooms.commands import Joined, Lost, Received
from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.limits import ClientLimits
from dedicated_server_stub.rooms.messages import Ack, Chat, ClientMessage, Error, Join, Ping, Pong
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import Room
from dedicated_server_stub.sessions import SessionRegistry

JOIN_SECONDS = 5.0
SLOW_SECONDS = 5.0  # a client that is behind for this long is closed
CLOSE_SECONDS = 1.0
_LEAVING = (1000, 1001)  # a client that closes with one of these leaves for good


class PlayersSocket:
    """Serves the players of all sessions.

    Args:
        sessions: the sessions that run here.
        rooms: their rooms.
        tokens: who may join.
        messages_per_second: what one client may send.
    """

    def __init__(
        self, sessions: SessionRegistry, rooms: Rooms, tokens: JoinTokens, *, messages_per_second: float
    ) -> None:
        self._sessions = sessions
        self._rooms = rooms
        self._tokens = tokens
        self._messages_per_second = messages_per_second

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection from its first to its last frame.

        A stranger is accepted before it is turned away: a close before that reaches a client as HTTP 403, without
        the code that says why.
        """
        form = frames.choose(websocket.scope["subprotocols"])
        await websocket.accept(form)
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                admitted = await self._admit(websocket, form or frames.JSON)
        except TimeoutError:
            admitted = RoomClose.UNAUTHORIZED
        except WebSocketDisconnect:
            return
        if isinstance(admitted, RoomClose):
            await _close(websocket, admitted)
            return
        await self._play(websocket, *admitted)

    async def _admit(self, websocket: WebSocket, form: str) -> tuple[Room, Connection] | RoomClose:
        session_id = websocket.path_params["session_id"]
        if self._sessions.get(session_id) is None:
            return RoomClose.SESSION_OVER
        token = await _receive_token(websocket)
        claims = RoomClose.UNAUTHORIZED if token is None else await self._tokens.check(token, session_id=session_id)
        if isinstance(claims, RoomClose):
            return claims
        if refusal := self._refusal(claims):
            return refusal
        room = self._rooms.open(session_id)
        connection = Connection(claims.player_id, team=claims.team, form=form)
        room.submit(Joined(connection))
        return room, connection

    def _refusal(self, claims: Claims) -> RoomClose | None:
        """Judge a good token by how things stand now: checking it took a moment."""
        session = self._sessions.get(claims.session_id)
        if session is None:
            return RoomClose.SESSION_OVER
        if claims.player_id not in session.players:
            return RoomClose.FORBIDDEN
        room = self._rooms.get(claims.session_id)
        if claims.expired and not (room is not None and room.is_member(claims.player_id)):
            return RoomClose.UNAUTHORIZED
        return None

    async def _play(self, websocket: WebSocket, room: Room, connection: Connection) -> None:
        left = False
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(websocket, room, connection))
                writer = tasks.create_task(_write(websocket, connection, self._rooms.metrics))
                # The writer ends first where the room closes: nothing more of this client counts.
                await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
                left = reader.done() and not reader.cancelled() and reader.result() in _LEAVING
                reader.cancel()
                writer.cancel()
        finally:
            room.submit(Lost(connection, left))

    async def _read(self, websocket: WebSocket, room: Room, connection: Connection) -> int:
        """Pass on what the player says until the connection ends; return the code it ended with."""
        limits = ClientLimits(messages_per_second=self._messages_per_second)
        clock = asyncio.get_running_loop().time
        while True:
            event = await websocket.receive()
            if event["type"] == "websocket.disconnect":
                return int(event["code"])
            message = _decoded(event)
            if wait := limits.seconds_to_wait(clock(), ack=isinstance(message, Ack)):
                if limits.abused:
                    connection.close(RoomClose.POLICY)
                elif connection.keeps_up:
                    connection.send(Error("rate_limited", "too many messages", retry_after_seconds=wait))
                continue
            if isinstance(message, frames.InvalidFrame):
                connection.send(Error("invalid_message", str(message)))
            elif isinstance(message, Ping):
                connection.send(Pong())
            elif isinstance(message, Join):
                connection.send(Error("invalid_message", "joined already"))
            elif isinstance(message, Chat) and (wait := limits.seconds_to_wait_for_chat(clock())):
                connection.send(Error("rate_limited", "too much chat", retry_after_seconds=wait))
            else:
                room.submit(Received(connection, message))


async def _receive_token(websocket: WebSocket) -> str | None:
    """The token of the first message; None when that is no `join`.

    Raises:
        WebSocketDisconnect: there is no first message.
    """
    event = await websocket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event["code"])
    message = _decoded(event)
    return message.join_token if isinstance(message, Join) else None


def _decoded(event: Any) -> ClientMessage | frames.InvalidFrame:
    """What the client has said, or why it cannot be read."""
    try:
        return frames.decode(_frame_of(event))
    except frames.InvalidFrame as error:
        return error


def _frame_of(event: Any) -> frames.Frame:
    text: str | None = event.get("text")
    if text is not None:
        return text
    data: bytes = event["bytes"]
    return data


async def _write(websocket: WebSocket, connection: Connection, metrics: RoomMetrics) -> None:
    """Send what waits for the player, then close when the room says so."""
    try:
        while True:
            await connection.changed.wait()
            connection.changed.clear()
            try:
                async with asyncio.timeout(SLOW_SECONDS):
                    await _send_waiting(websocket, connection, metrics)
            except TimeoutError:
                connection.close(RoomClose.TOO_SLOW)
            if connection.close_code is not None:
                await _close(websocket, connection.close_code)
                return
    except WebSocketDisconnect:
        return  # the reader sees it too


async def _send_waiting(websocket: WebSocket, connection: Connection, metrics: RoomMetrics) -> None:
    connection.writing = True
    while connection.waiting:
        frame = connection.waiting.popleft()
        metrics.sent_bytes.inc(len(frame))
        if isinstance(frame, str):
            await websocket.send_text(frame)
        else:
            await websocket.send_bytes(frame)
    connection.writing = False


async def _close(websocket: WebSocket, code: int) -> None:
    """Close, unless the client is gone or takes nothing: `web.RoomProtocol` then cuts the connection."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await websocket.close(code)
    except (WebSocketDisconnect, TimeoutError):
        return
