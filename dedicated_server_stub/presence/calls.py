"""Calls to rooms wherever they run: `call(room_id, method, args)`, each carried out once or not at all."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.presence.interface import Presence, PresenceUnavailable
from dedicated_server_stub.rooms.commands import Called, Outcome

_log: FilteringBoundLogger = structlog.get_logger()

ATTEMPTS = 4

_T = TypeVar("_T")


class RoomCallFailed(Exception):
    """Nobody has answered in time: the room is gone, or its process. If only the answers got lost, it was called."""


class RoomCallRefused(Exception):
    """The room has answered that it knows no such method, or takes no such arguments."""


class _Request(Struct):
    call_id: str
    attempt_id: str
    reply_to: str
    method: str
    args: dict[str, Any]
    expires_at: float


class _Reply(Struct):
    attempt_id: str
    outcome: Outcome


class RoomCalls:
    """Both sides of a call: `call` for whoever asks, `serve` for the process that runs the room.

    Args:
        presence: carries the calls.
        clock: the time of day in seconds. The clocks of machines that call each other may differ by less than a call
            may take; where they differ by more, calls fail.
    """

    def __init__(self, presence: Presence, *, clock: Callable[[], float] = time.time) -> None:
        self._presence = presence
        self._clock = clock
        self._reply_to = f"replies:{uuid.uuid4().hex}"
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}  # by attempt
        self._replies: asyncio.Queue[tuple[str, str]] = asyncio.Queue()  # channels, and what is to be published there
        presence.subscribe(self._reply_to, self._replied)

    async def run(self) -> None:
        """Publish the answers of the rooms of this process, until cancelled."""
        while True:
            channel, reply = await self._replies.get()
            try:
                await self._presence.publish(channel, reply)
            except PresenceUnavailable as error:
                _log.warning("room_call_not_answered", reason=str(error))  # the caller asks again

    def serve(self, room_id: str, submit: Callable[[Called], None]) -> None:
        """Pass the calls to a room on to it, each attempt."""

        def received(text: str) -> None:
            request = _decoded(text, _Request)
            if request is None:
                return

            def answer(outcome: Outcome) -> None:
                reply = _Reply(request.attempt_id, outcome)
                self._replies.put_nowait((request.reply_to, msgspec.json.encode(reply).decode()))

            submit(
                Called(
                    call_id=request.call_id,
                    method=request.method,
                    args=request.args,
                    expires_at=request.expires_at,
                    answer=answer,
                )
            )

        self._presence.subscribe(_channel(room_id), received)

    def stop(self, room_id: str) -> None:
        """The room runs here no more."""
        self._presence.unsubscribe(_channel(room_id))

    async def call(
        self,
        room_id: str,
        method: str,
        args: Mapping[str, Any],
        *,
        timeout_seconds: float,
        attempts: int = ATTEMPTS,
        call_id: str | None = None,
    ) -> Any:
        """Call a method of a room.

        Args:
            room_id: the session of the room.
            method: one of `rooms.methods.METHODS`.
            args: plain data.
            timeout_seconds: for all attempts together. No attempt is carried out after it.
            attempts: how often the room is asked before the call has failed for good.
            call_id: the room carries out one call of an id; None: a new one.

        Raises:
            RoomCallFailed: no answer came in time.
            RoomCallRefused: the room does not do that.
        """
        call_id = call_id or uuid.uuid4().hex
        expires_at = self._clock() + timeout_seconds
        reason = "nobody answers"
        for _ in range(attempts):
            attempt_id = uuid.uuid4().hex
            request = _Request(call_id, attempt_id, self._reply_to, method, dict(args), expires_at)
            answered = self._waiting[attempt_id] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_seconds / attempts):
                    try:
                        await self._presence.publish(_channel(room_id), msgspec.json.encode(request).decode())
                    except PresenceUnavailable as error:
                        reason = str(error)
                    outcome = await answered
            except TimeoutError:
                continue
            finally:
                del self._waiting[attempt_id]
            if outcome.refused is not None:
                raise RoomCallRefused(outcome.refused)
            return outcome.result
        raise RoomCallFailed(f"{method} of room {room_id}: {reason}")

    def _replied(self, text: str) -> None:
        reply = _decoded(text, _Reply)
        if reply is None:
            return
        answered = self._waiting.get(reply.attempt_id)
        if answered is not None and not answered.done():  # else it came too late: another attempt is on its way
            answered.set_result(reply.outcome)


def _decoded(text: str, message: type[_T]) -> _T | None:
    """Read a message; None where it is none: anybody on the same Redis can publish, another version of this, too."""
    try:
        return msgspec.json.decode(text, type=message)
    except msgspec.DecodeError as error:
        _log.warning("room_call_unreadable", reason=str(error))
        return None


def _channel(room_id: str) -> str:
    return f"room:{room_id}"
