"""Registration and heartbeats: one loop, one call at a time, so that no two heartbeats overlap."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, Field, ValidationError
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.backoff import Backoff
from dedicated_server_stub.hosting import Host
from dedicated_server_stub.match_server_client import MatchServerClient
from match_server.protocol import problem_detail

_log: FilteringBoundLogger = structlog.get_logger()

# Answers to a registration that trying again will not change.
_REFUSALS = (400, 401, 403, 404, 405, 409, 413, 422)


class RegistrationError(Exception):
    """The match server does not take this server as it is set up, or no longer; the text says why."""


class _Registered(BaseModel):
    heartbeat_seconds: Annotated[float, Field(gt=0)]
    warnings: list[str] = []


class _HeartbeatAnswer(BaseModel):
    end: list[str] = []
    warnings: list[str] = []


class Registrar:
    """Keeps this server registered, from the first `POST /servers` to the `DELETE` at the end.

    Args:
        client: how to call the match server.
        host: the sessions to tell of, and to end when the match server says so.
        server_id: this server's id.
        registration: the body of the registration, all but `active_sessions`.
        on_registered: called once, after the first registration.
        backoff: the waits while the match server is out of reach.

    """

    def __init__(
        self,
        client: MatchServerClient,
        host: Host,
        *,
        server_id: str,
        registration: dict[str, Any],
        on_registered: Callable[[], None],
        backoff: Backoff | None = None,
    ) -> None:
        self._client = client
        self._host = host
        self._path = f"/servers/{server_id}"
        self._registration = registration
        self._on_registered = on_registered
        self._backoff = backoff or Backoff()
        self._heartbeat_seconds: float | None = None  # None: not registered
        self._announced = False
        self._leaving = False
        self._replaced = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Make the next call at once: there is news, such as the drain."""
        self._woken.set()

    def leave(self) -> None:
        """Let `run` end, with a `DELETE` as its last call."""
        self._leaving = True
        self.wake()

    async def run(self) -> None:
        """Register, then heartbeat until `leave`.

        Raises:
            RegistrationError: the first registration was refused, or another process has registered under this id while
                this one takes sessions. A later registration that is refused is tried again, as sessions are running.

        """
        while not (self._leaving or self._replaced):
            registered = self._heartbeat_seconds is not None
            seconds = await (self._heartbeat() if registered else self._register())
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            self._woken.clear()
        if not self._replaced:
            # Also without a registration: one that timed out may have been taken all the same.
            await self._client.call("DELETE", self._path, expected=(204, 404))

    async def _register(self) -> float:
        """Register; return the seconds until the next call."""
        body = {**self._registration, "active_sessions": self._host.sessions.live_ids()}
        final = () if self._announced else _REFUSALS
        answer = await self._client.call("POST", "/servers", body, expected=(200, 201, *final))
        if answer is None:
            return self._backoff.next_seconds()
        if answer.status_code in _REFUSALS:
            raise RegistrationError(f"registration refused, {answer.status_code}: {problem_detail(answer.content)}")
        try:
            registered = _Registered.model_validate_json(answer.content)
        except ValidationError:
            _log.warning("unexpected_answer", call="POST /servers")
            return self._backoff.next_seconds()
        self._backoff.reset()
        self._heartbeat_seconds = registered.heartbeat_seconds
        _log_warnings(registered.warnings)
        _log.info("registered", again=self._announced, heartbeat_seconds=registered.heartbeat_seconds)
        if not self._announced:
            self._announced = True
            self._on_registered()
        return 0 if self._host.sessions.draining else registered.heartbeat_seconds

    async def _heartbeat(self) -> float:
        """Send one heartbeat; return the seconds until the next call."""
        sessions = self._host.sessions
        # Taken now, as the call is made: an older list would have the match server miss a new session.
        body = {
            "incarnation": self._registration["incarnation"],
            "active_sessions": sessions.live_ids(),
            "draining": sessions.draining,
        }
        answer = await self._client.call("PUT", f"{self._path}/heartbeat", body, expected=(200, 404, 409))
        if answer is None:
            return self._backoff.next_seconds()
        if answer.status_code == 404:
            self._heartbeat_seconds = None
            return self._backoff.next_seconds()  # every server may come back in this moment
        if answer.status_code == 409:
            if not sessions.draining:
                raise RegistrationError(f"heartbeat refused, 409: {problem_detail(answer.content)}")
            _log.info("replaced")  # by the process that takes this one's place; the sessions here go on to their end
            self._replaced = True
            return 0
        try:
            heard = _HeartbeatAnswer.model_validate_json(answer.content)
        except ValidationError:
            _log.warning("unexpected_answer", call="PUT heartbeat")
            return self._backoff.next_seconds()
        self._backoff.reset()
        _log_warnings(heard.warnings)
        for session_id in heard.end:
            self._host.end(session_id)
        assert self._heartbeat_seconds is not None  # noqa: S101 - only `_heartbeat` itself forgets it
        return self._heartbeat_seconds


def _log_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        _log.warning("match_server_warns", warning=warning)
