"""The keys that the issuer of players' tokens publishes: a JSON Web Key Set (RFC 7517), by URL or in a file."""

import asyncio
import time
from pathlib import Path

import anyio
import httpx
import jwt
import structlog

from match_server.redis_urls import redact

log = structlog.get_logger(__name__)

ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
_PERIOD_SECONDS = 300.0
_UNKNOWN_SECONDS = 10.0  # an unknown `kid`, which anybody may send, has the keys read again this often at most
_TIMEOUT_SECONDS = 5.0
_LIMIT_BYTES = 1024 * 1024


class KeysUnreadable(Exception):
    """The key set cannot be had, or holds no key that can be used; in words."""


class PublishedKeys:
    """Reads them at the start, every five minutes, and when a token names one that it does not know.

    While they are out of reach, those read last stay good.
    """

    def __init__(self, source: str) -> None:
        """`source` is an http or https URL, or the path of a file."""
        self.source = source
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at = -_UNKNOWN_SECONDS
        self._reading = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether they have been read once."""
        return bool(self._keys)

    async def run(self) -> None:
        """Keep them fresh, until cancelled. They are asked for more often until they are known."""
        while True:
            await self._refresh()
            await asyncio.sleep(_PERIOD_SECONDS if self.known else _UNKNOWN_SECONDS / 10)

    async def key(self, kid: object) -> jwt.PyJWK | None:
        """The key of that name. A token that names none is checked with the only key, where there is just one."""
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if not isinstance(kid, str):
            return None
        if kid not in self._keys and time.monotonic() - self._read_at > _UNKNOWN_SECONDS:
            await self._refresh()
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        asked_at = time.monotonic()
        async with self._reading:
            if self._read_at > asked_at:
                return  # somebody else did meanwhile
            self._read_at = time.monotonic()
            try:
                self._keys = _usable(await self._read())
            except KeysUnreadable as error:
                log.warning(
                    "player_keys_unreadable", source=redact(self.source), error=str(error), known=len(self._keys)
                )

    async def _read(self) -> str | bytes:
        if not self.source.startswith(("http://", "https://")):
            try:
                return await anyio.Path(Path(self.source)).read_bytes()
            except OSError as error:
                raise KeysUnreadable(error.strerror or str(error)) from None
        try:
            async with (
                asyncio.timeout(_TIMEOUT_SECONDS),
                httpx.AsyncClient(trust_env=False, follow_redirects=False) as client,
                client.stream("GET", self.source, headers={"Accept": "application/json"}) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise KeysUnreadable(f"status {response.status_code}")
                content = b""
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > _LIMIT_BYTES:
                        raise KeysUnreadable(f"larger than {_LIMIT_BYTES} bytes")
                return content
        except TimeoutError:
            raise KeysUnreadable(f"no answer within {_TIMEOUT_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise KeysUnreadable(str(error) or type(error).__name__) from None


def _usable(text: str | bytes) -> dict[str | None, jwt.PyJWK]:
    """The keys of a set by their `kid`. Those of other algorithms are left out, secret (HS256) ones above all."""
    try:
        found = jwt.PyJWKSet.from_json(text if isinstance(text, str) else text.decode())
    except (jwt.PyJWTError, ValueError, AttributeError, TypeError) as error:
        raise KeysUnreadable(f"not a JSON Web Key Set: {error}") from None
    keys = {key.key_id: key for key in found.keys if key.algorithm_name in ALGORITHMS}
    if not keys:
        raise KeysUnreadable(f"no key for {', '.join(sorted(ALGORITHMS))} in it")
    return keys
