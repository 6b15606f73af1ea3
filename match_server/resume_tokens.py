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


class Proven(NamedTuple):
    """What a valid token says."""

    game_mode: str
    made_at_ms: int


class TokenMint:
    """Makes and checks tokens. Without a secret yet (Redis was never reached) it can do neither."""

    def __init__(self) -> None:
        self._key: bytes | None = None

    @property
    def ready(self) -> bool:
        """Whether the pool's secret is known."""
        return self._key is not None

    def learn(self, secret: str) -> None:
        """Take the pool's secret."""
        self._key = secret.encode()

    def mint(self, player_id: str, game_mode: str) -> str:
        """Make a token for a journey that begins. Raises RuntimeError before the secret is known."""
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(_NONCE_BYTES)).decode()
        said = f"{game_mode}~{time.time_ns() // 1_000_000}~{nonce}"
        return f"{said}~{self._sign(player_id, said)}"

    def verify(self, player_id: str, token: str) -> Proven | None:
        """What the token says, or None when it was not made for this player with this secret."""
        said, _, signature = token.rpartition("~")
        parts = said.split("~")
        expected = self._sign(player_id, said)
        if len(parts) != 3 or not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        return Proven(parts[0], int(parts[1]))

    def _sign(self, player_id: str, said: str) -> str:
        if self._key is None:
            raise RuntimeError("the pool's secret is not known yet")
        digest = hmac.digest(self._key, f"{player_id}~{said}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()
