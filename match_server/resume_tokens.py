"""Resume tokens: signed with the pool's secret, so that a player can prove itself even to an empty Redis.

`<game_mode>~<made at, Unix milliseconds>~<nonce>~<signature>`: no game mode holds a `~`. The signature is HMAC-SHA256
(RFC 2104) over the player and the other parts. A token is good only while it also stands in the player's record.
"""

import base64
import hashlib
import hmac
import secrets
import time
from typing import NamedTuple

_NONCE_BYTES = 9
_SIGNATURE_BYTES = 24
_KEYS_KEPT = 3


class Proven(NamedTuple):
    """What a valid token says."""

    game_mode: str
    made_at_ms: int


class TokenMint:
    """Makes and checks tokens. Without a secret yet (Redis was never reached) it can do neither."""

    def __init__(self) -> None:
        self.secret = secrets.token_hex(32)  # the one to propose: our own, until the pool's is known
        self._keys: list[bytes] = []  # the pool's, and before it those that it had until Redis lost them

    @property
    def ready(self) -> bool:
        """Whether the pool's secret is known."""
        return bool(self._keys)

    def learn(self, secret: str) -> None:
        """Take the pool's secret. Tokens signed with an earlier one stay good."""
        self.secret = secret
        key = secret.encode()
        self._keys = [key, *(known for known in self._keys if known != key)][:_KEYS_KEPT]

    def mint(self, player_id: str, game_mode: str) -> str:
        """Make a token for a journey that begins. Raises RuntimeError before the secret is known."""
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(_NONCE_BYTES)).decode()
        said = f"{game_mode}~{time.time_ns() // 1_000_000}~{nonce}"
        if not self._keys:
            raise RuntimeError("the pool's secret is not known yet")
        return f"{said}~{_sign(self._keys[0], player_id, said)}"

    def verify(self, player_id: str, token: str) -> Proven | None:
        """What the token says, or None when it was not made for this player with this secret."""
        said, _, signature = token.rpartition("~")
        parts = said.split("~")
        if len(parts) != 3:
            return None
        for key in self._keys:
            if hmac.compare_digest(signature.encode(), _sign(key, player_id, said).encode()):
                return Proven(parts[0], int(parts[1]))
        return None


def _sign(key: bytes, player_id: str, said: str) -> str:
    digest = hmac.digest(key, f"{player_id}~{said}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()
