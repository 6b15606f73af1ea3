"""Players' tokens: JSON web tokens (RFC 7519) whose `sub` is the player's id, and what they may say beside it."""

import re
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jwt
import structlog
from jwt.exceptions import InvalidSubjectError
from pydantic import SecretStr
from starlette.datastructures import Headers, QueryParams

from match_server.actors.mailbox import Identity
from match_server.protocol import PLAYER_ID_PATTERN
from match_server.web.access import bearer
from match_server.web.published_keys import PublishedKeys

log = structlog.get_logger(__name__)

_RECOMMENDED_KEY_BYTES = 32  # RFC 7518, 3.2
_SHARED_KEY_ALGORITHM = "HS256"
_BEARER = "bearer."
_PLAYER_ID = re.compile(PLAYER_ID_PATTERN)


class NotAuthenticated(NamedTuple):
    """Why a connection's token names no player, in words that hold nothing of the token."""

    reason: str


class PlayerTokens:
    """Checks them with the key that the issuer shares with this service, or with those that the issuer publishes."""

    def __init__(
        self, *, key: SecretStr, published: PublishedKeys | None = None, issuer: str = "", audience: str = ""
    ) -> None:
        """`key` is empty where none is shared; so are `issuer` and `audience`, which then no token need name."""
        self._key = key.get_secret_value()
        self._published = published
        self._issuer, self._audience = issuer or None, audience or None
        required = ["sub", *(["iss"] if issuer else [])]
        # `iat` is the issuer's to say, and its clock may be ahead of ours: it refuses nobody (RFC 7519, 4.1.6).
        self._decoder = jwt.PyJWT(options={"require": required, "verify_iat": False})
        if 0 < len(self._key.encode()) < _RECOMMENDED_KEY_BYTES:
            log.warning("short_player_key", bytes=len(self._key.encode()), recommended=_RECOMMENDED_KEY_BYTES)
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)  # said once here, not once per token

    @property
    def required(self) -> bool:
        """Whether players must bring one."""
        return bool(self._key) or self._published is not None

    @property
    def not_ready(self) -> str | None:
        """Why no token can be checked now; None when they can."""
        if self._key or self._published is None or self._published.known:
            return None
        return "the keys of players' tokens could not be read yet"

    async def identity(
        self, headers: Headers, query: QueryParams, subprotocols: Sequence[str] = ()
    ) -> Identity | NotAuthenticated:
        """What a connection's token says of its player.

        A browser, which cannot set headers, offers it as the subprotocol `bearer.<token>`, or puts it into the URL.
        """
        offered = next((text[len(_BEARER) :] for text in subprotocols if text.startswith(_BEARER)), "")
        token = bearer(headers) or offered or query.get("token", "")
        if not token:
            return NotAuthenticated("a player token is required")
        try:
            header = jwt.get_unverified_header(token)
            key, algorithm = await self._key_for(header)
            claims, expired = self._read(token, key, algorithm)
        except jwt.InvalidTokenError as error:
            return NotAuthenticated(_in_words(error))
        if not _PLAYER_ID.fullmatch(claims["sub"]):
            return NotAuthenticated("the token's sub is not a player_id")
        attributes, party_id = claims.get("attributes"), claims.get("party_id")
        return Identity(
            claims["sub"],
            attributes if isinstance(attributes, dict) else {},
            party_id if isinstance(party_id, str) else None,
            expired,
        )

    async def _key_for(self, header: dict[str, Any]) -> tuple[Any, str]:
        """The key for a token, and the one algorithm that goes with it: never the one that the token asks for."""
        if self._key and (self._published is None or header.get("alg") == _SHARED_KEY_ALGORITHM):
            return self._key, _SHARED_KEY_ALGORITHM
        found = await self._published.key(header.get("kid")) if self._published else None
        if found is None:
            raise _UnknownKey
        return found, found.algorithm_name

    def _read(self, token: str, key: Any, algorithm: str) -> tuple[dict[str, Any], bool]:
        """A token's claims, and whether it is good but for its age."""
        decode = partial(
            self._decoder.decode, token, key, algorithms=[algorithm], issuer=self._issuer, audience=self._audience
        )
        try:
            return decode(), False
        except jwt.ExpiredSignatureError:
            return decode(options={"verify_exp": False}), True


class _UnknownKey(jwt.InvalidTokenError):
    """No key of this service goes with the token."""


_REASONS: tuple[tuple[type[jwt.InvalidTokenError], str], ...] = (
    (jwt.InvalidSignatureError, "the token's signature is wrong"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token's aud is not this service"),
    (jwt.InvalidIssuerError, "the token's iss is not the issuer that this service knows"),
    (jwt.InvalidAlgorithmError, "the token's alg is not that of the key"),
    (_UnknownKey, "the token's kid is not the name of a key that this service knows"),
    (InvalidSubjectError, "the token's sub is not a player_id"),
)


def _in_words(error: jwt.InvalidTokenError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token has no {error.claim}"
    return next((words for kind, words in _REASONS if isinstance(error, kind)), "the token is not a JSON web token")
