"""Calls to the match server over a few connections. An outage is one log line, and a return value."""

import random
from collections.abc import Collection, Sequence
from typing import Any

import httpx
import structlog
from structlog.typing import FilteringBoundLogger

_log: FilteringBoundLogger = structlog.get_logger()

# One for the heartbeat, the others for end reports; a burst of ends waits in the reporter's queue.
MAX_CONNECTIONS = 8
TIMEOUT_SECONDS = 3.0


def open_http(server_key: str | None) -> httpx.AsyncClient:
    """Make the one HTTP client; close it by `async with`. No redirects, no proxy from the environment."""
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {server_key}"} if server_key else None,
        # Idle connections are given up before the other side does, so that no call meets its close.
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=2.0),
        timeout=TIMEOUT_SECONDS,
        trust_env=False,
    )


class MatchServerClient:
    """Calls that give None while the match server is out of reach, and log only when that changes."""

    def __init__(self, http: httpx.AsyncClient, nodes: Sequence[str]) -> None:
        """`nodes` are the URLs of the match server's nodes. Calls go to one of them, until it does not answer."""
        self._http = http
        self._nodes = nodes
        self._node = random.choice(nodes)  # noqa: S311 - servers spread over the nodes, no secret
        self._trouble = False

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, expected: Collection[int]
    ) -> httpx.Response | None:
        """Make one call. None: no answer, or one with a status outside `expected`; to be tried again."""
        node = self._node
        try:
            response = await self._http.request(method, node + path, json=body)
        except httpx.RequestError as error:
            self._give_up(node, str(error) or type(error).__name__)
            return None
        if response.status_code not in expected:
            self._give_up(node, f"{method} {path} answered {response.status_code}")
            return None
        if self._trouble:
            self._trouble = False
            _log.info("match_server_back")
        return response

    def _give_up(self, node: str, reason: str) -> None:
        """The next call goes to another node, where there is one."""
        if self._node == node:  # else a call beside this one has moved on already
            others = [other for other in self._nodes if other != node]
            self._node = random.choice(others or self._nodes)  # noqa: S311 - likewise
        if not self._trouble:
            self._trouble = True
            _log.warning("match_server_unavailable", match_server=_where(node), reason=reason)


def _where(url: str) -> str:
    """Name the host and port of a URL, without a password that may stand in it."""
    return httpx.URL(url).netloc.decode("ascii")
