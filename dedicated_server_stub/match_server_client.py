"""Calls to the match server over a few connections. An outage is one log line, and a return value."""

from collections.abc import Collection
from typing import Any

import httpx
import structlog
from structlog.typing import FilteringBoundLogger

_log: FilteringBoundLogger = structlog.get_logger()

# One for the heartbeat, the others for end reports; a burst of ends waits in the reporter's queue.
MAX_CONNECTIONS = 8
TIMEOUT_SECONDS = 3.0


def open_http(match_server: str, server_key: str | None) -> httpx.AsyncClient:
    """Make the one HTTP client; close it by `async with`. No redirects, no proxy from the environment."""
    return httpx.AsyncClient(
        base_url=match_server,
        headers={"Authorization": f"Bearer {server_key}"} if server_key else None,
        # Idle connections are given up before the other side does, so that no call meets its close.
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=2.0),
        timeout=TIMEOUT_SECONDS,
        trust_env=False,
    )


class MatchServerClient:
    """Calls that give None while the match server is out of reach, and log only when that changes."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._trouble = False

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, expected: Collection[int]
    ) -> httpx.Response | None:
        """Make one call. None: no answer, or one with a status outside `expected`; to be tried again."""
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.RequestError as error:
            self._note_trouble(str(error) or type(error).__name__)
            return None
        if response.status_code not in expected:
            self._note_trouble(f"{method} {path} answered {response.status_code}")
            return None
        if self._trouble:
            self._trouble = False
            _log.info("match_server_back")
        return response

    def _note_trouble(self, reason: str) -> None:
        if not self._trouble:
            self._trouble = True
            _log.warning("match_server_unavailable", match_server=_where(self._http.base_url), reason=reason)


def _where(url: httpx.URL) -> str:
    """Name the host and port of a URL, without a password that may stand in it."""
    return url.netloc.decode("ascii")
