"""Who may connect: bearer keys of servers and operators, tokens of players, origins of browsers, proxies."""

import hmac
import ipaddress
import re
import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import jwt
import structlog
from pydantic import SecretStr
from starlette.datastructures import Headers, QueryParams

from match_server.config import Network
from match_server.protocol import PLAYER_ID_PATTERN
from match_server.web.problems import Refused

log = structlog.get_logger(__name__)

_RECOMMENDED_KEY_BYTES = 32  # RFC 7518, 3.2
_PLAYER_ID = re.compile(PLAYER_ID_PATTERN)


def bearer(headers: Headers) -> str:
    """The token of an `Authorization: Bearer` header, or an empty string."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def key_matches(headers: Headers, key: SecretStr) -> bool:
    """Whether the caller has the key, compared in constant time; an empty key asks for none."""
    expected = key.get_secret_value()
    return not expected or hmac.compare_digest(bearer(headers).encode(), expected.encode())


def require_key(headers: Headers, key: SecretStr, setting: str) -> None:
    """Let through who brings the key of this setting.

    Raises:
        Refused: 401.
    """
    if not key_matches(headers, key):
        raise Refused(401, f"Authorization: expected Bearer and {setting}")


class PlayerTokens:
    """Players' HS256 JSON web tokens (RFC 7519), whose `sub` is the player's id."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value()
        # `iat` is the issuer's to say, and its clock may be ahead of ours: it refuses nobody (RFC 7519, 4.1.6).
        self._decoder = jwt.PyJWT(options={"require": ["sub"], "verify_iat": False})
        if 0 < len(self._key.encode()) < _RECOMMENDED_KEY_BYTES:
            log.warning("short_player_key", bytes=len(self._key.encode()), recommended=_RECOMMENDED_KEY_BYTES)
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)  # said once here, not once per token

    @property
    def required(self) -> bool:
        """Whether players must bring one."""
        return bool(self._key)

    def subject(self, headers: Headers, query: QueryParams) -> str | None:
        """The player that a connection's token names, or None when it has no valid one."""
        token = bearer(headers) or query.get("token", "")
        try:
            claims: dict[str, Any] = self._decoder.decode(token, self._key, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            return None
        subject = claims["sub"]
        return subject if _PLAYER_ID.fullmatch(subject) else None


def origin_allowed(headers: Headers, allowed: Sequence[str]) -> bool:
    """Whether a browser's page may connect: none named (no browser), the same host, or a configured origin."""
    origin = headers.get("origin")
    if origin is None:
        return True
    if origin in allowed or "*" in allowed:
        return True
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False


def client_address(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """The client's address: the peer's, or what trusted proxies say of it, read from the right (RFC 7239, 7.4)."""
    address = peer
    hops = [hop.strip() for value in headers.getlist("x-forwarded-for") for hop in value.split(",")]
    while hops and _inside(address, trusted):
        address = hops.pop()
    return address


def _inside(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
