"""The pool's signing keys (Ed25519, RFC 8037): they tell dedicated servers who comes, and who calls.

The keys are made once and kept in Redis, so that every node signs with the same one. Dedicated servers check with the
public halves, a JSON Web Key Set (RFC 7517). PyJWT and cryptography do all that has to do with signatures.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

JOIN_SECONDS = 120  # as long as a found match can be repeated on `resume`
CALL_SECONDS = 30
_ALGORITHM = "EdDSA"


@dataclass(frozen=True, slots=True)
class _Key:
    """One pair, and its name in the header of what it has signed."""

    kid: str
    private: Ed25519PrivateKey

    @classmethod
    def parse(cls, text: str) -> "_Key":
        private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(text))
        public = private.public_key().public_bytes_raw()
        return cls(hashlib.sha256(public).hexdigest()[:16], private)


def new_key() -> str:
    """Make a private key: its 32 bytes, base64url."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()  # which is all that a private key is


def key_id(key: str) -> str:
    """The name of a key, which may be shown: it follows from the public half."""
    return _Key.parse(key).kid


class SigningKeys:
    """Signs with one of the pool's keys, and publishes all. Before Redis was reached it knows none."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        """`now` is the time of day, in seconds: those who check have no other clock."""
        self._now = now
        self._texts: list[str] = []
        self._keys: list[_Key] = []
        self._own = ""

    @property
    def proposed(self) -> str:
        """The key that a pool without one should take: the one that it had, as far as this node knows."""
        self._own = self._texts[0] if self._texts else self._own or new_key()
        return self._own

    @property
    def ready(self) -> bool:
        """Whether the pool's keys are known."""
        return bool(self._keys)

    def learn(self, keys: Sequence[str]) -> None:
        """Take the pool's private keys, the one to sign with first."""
        if list(keys) != self._texts:
            self._texts = list(keys)
            self._keys = [_Key.parse(text) for text in keys]

    def join_tokens(
        self, players: Sequence[str], *, session_id: str, server_id: str, settled: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """A token for each player, in their order, which lets it into its session; none while no key is known.

        `settled` is what rules have settled of the match: `teams`, `roles`, `region`.
        """
        if not self._keys:
            return ()
        issued_at = int(self._now())
        session = {"sid": session_id, "srv": server_id, "iat": issued_at, "exp": issued_at + JOIN_SECONDS}
        if "region" in settled:
            session["region"] = settled["region"]
        teams = {player: team for team, members in settled.get("teams", {}).items() for player in members}
        roles = settled.get("roles", {})
        return tuple(
            self._sign(
                {
                    "sub": player,
                    **session,
                    **({"team": teams[player]} if player in teams else {}),
                    **({"role": roles[player]} if player in roles else {}),
                }
            )
            for player in players
        )

    def call_token(self, server_id: str, body: bytes) -> str | None:
        """A token for one call to a dedicated server, good for this body alone; None while no key is known."""
        if not self._keys:
            return None
        issued_at = int(self._now())
        digest = hashlib.sha256(body).hexdigest()
        return self._sign({"aud": server_id, "iat": issued_at, "exp": issued_at + CALL_SECONDS, "body_sha256": digest})

    def public(self) -> dict[str, Any]:
        """The JSON Web Key Set of the public halves."""
        return {"keys": [_public(key) for key in self._keys]}

    def _sign(self, claims: dict[str, Any]) -> str:
        key = self._keys[0]
        return jwt.encode(claims, key.private, algorithm=_ALGORITHM, headers={"kid": key.kid})


def _public(key: _Key) -> dict[str, Any]:
    jwk = OKPAlgorithm.to_jwk(key.private.public_key(), as_dict=True)
    return {**jwk, "kid": key.kid, "alg": _ALGORITHM, "use": "sig"}
