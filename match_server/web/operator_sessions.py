"""A browser's session of an operator: a cookie that says which key it was opened with, and not the key.

The cookie is a JSON web token. What signs it is derived from the operator's own key: every node and worker that has
the key takes it, none has to remember it, and once the key is replaced it is worth nothing.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import jwt
from pydantic import SecretStr

COOKIE = "match_operator"
SESSION_SECONDS = 12 * 3600
_AUDIENCE = "match-server operator"
_ALGORITHM = "HS256"


class Session(NamedTuple):
    """An open session. `csrf` is what its page has to send with each change; `ends_at` is in seconds since 1970."""

    label: str
    csrf: str
    ends_at: int


class OperatorSessions:
    """Opens sessions and knows them again."""

    def __init__(self, keys: Mapping[str, SecretStr], *, now: Callable[[], float] = time.time) -> None:
        """`keys` by label; `now` is the time of day, in seconds: other nodes have no other clock."""
        self._keys = keys
        self._now = now

    def open(self, label: str) -> str:
        """The cookie of a new session of the operator who has shown that key."""
        ends_at = int(self._now()) + SESSION_SECONDS
        claims = {"sub": label, "aud": _AUDIENCE, "exp": ends_at, "csrf": secrets.token_urlsafe(24)}
        return jwt.encode(claims, _signing_key(self._keys[label].get_secret_value()), algorithm=_ALGORITHM)

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None when it is over, forged, or its key is no longer there."""
        try:
            label = str(jwt.decode(cookie, options={"verify_signature": False}).get("sub"))
            if label not in self._keys:
                return None
            claims = jwt.decode(
                cookie,
                _signing_key(self._keys[label].get_secret_value()),
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "sub"], "verify_exp": False},  # by `now`, below
            )
            session = Session(claims["sub"], str(claims["csrf"]), int(claims["exp"]))
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            return None
        return session if session.ends_at > self._now() else None


@cache
def _signing_key(key: str) -> bytes:
    """Slow to derive on purpose: whoever steals a cookie and tries out keys shall not get far (RFC 7914)."""
    return hashlib.scrypt(key.encode(), salt=_AUDIENCE.encode(), n=2**14, r=8, p=1, dklen=32)
