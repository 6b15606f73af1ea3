"""Who comes: checks the `join_token` of a player with the keys that the match server publishes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jwt

from dedicated_server_stub.match_server_client import MatchServerClient
from dedicated_server_stub.rooms.close_codes import RoomClose

JWKS_PATH = "/.well-known/jwks.json"
# An unknown key is asked for at most this often, whatever strangers make up.
REFRESH_SECONDS = 1.0
STALE_SECONDS = 300.0  # one that was taken out after a theft is good no longer than this
LEEWAY_SECONDS = 5.0  # how far the clocks of two machines may be apart
_CLAIMS = ("sub", "sid", "srv", "exp")

FetchKeys: TypeAlias = Callable[[], Awaitable[dict[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    player_id: str
    session_id: str
    team: str | None
    expired: bool


class PublishedKeys:
    """The match server's public keys by `kid`, fetched when one is asked for that is not known."""

    def __init__(self, fetch: FetchKeys, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`fetch` returns the JSON Web Key Set, or None while the match server is out of reach."""
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._may_fetch_at = 0.0
        self._stale_at = 0.0
        self._fetching = asyncio.Lock()

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of that name; None when the match server publishes none."""
        if kid in self._keys and self._clock() < self._stale_at:
            return self._keys[kid]
        async with self._fetching:
            unknown = kid not in self._keys or self._clock() >= self._stale_at
            if unknown and self._clock() >= self._may_fetch_at:
                published = await self._fetch()
                if published is not None:
                    self._learn(published)
                self._may_fetch_at = self._clock() + REFRESH_SECONDS
        return self._keys.get(kid)

    def _learn(self, published: dict[str, Any]) -> None:
        try:
            keys = jwt.PyJWKSet.from_dict(published).keys
        except jwt.PyJWKSetError:  # empty: a node that has not reached Redis yet knows none
            return
        self._stale_at = self._clock() + STALE_SECONDS
        self._keys = {key.key_id: key for key in keys if key.key_id is not None}


def fetch_from(client: MatchServerClient) -> FetchKeys:
    """Fetch the keys from the match server at which this server registers."""

    async def fetch() -> dict[str, Any] | None:
        answer = await client.call("GET", JWKS_PATH, expected=(200,))
        if answer is None:
            return None
        published = answer.json()
        return published if isinstance(published, dict) else None

    return fetch


class JoinTokens:
    """Decides by its token whether a player may join a session of this server."""

    def __init__(self, keys: PublishedKeys, *, server_id: str) -> None:
        self._keys = keys
        self._server_id = server_id

    async def check(self, token: str, *, session_id: str) -> Claims | RoomClose:
        """Check signature, server and session; an expired token is for the caller to judge.

        Returns:
            What the token says, or the code to close with.
        """
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = await self._keys.find(kid) if isinstance(kid, str) else None
            if key is None:
                return RoomClose.UNAUTHORIZED
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                leeway=LEEWAY_SECONDS,
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_aud": False},
            )
            expires_at = float(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError):
            return RoomClose.UNAUTHORIZED
        if claims["srv"] != self._server_id or claims["sid"] != session_id:
            return RoomClose.FORBIDDEN
        team = claims.get("team")
        return Claims(
            player_id=claims["sub"],
            session_id=session_id,
            team=team if isinstance(team, str) else None,
            expired=expires_at + LEEWAY_SECONDS < time.time(),
        )
