"""Resume tokens: signed with the pool's secret, so that a player can prove itself even to an empty Redis.

`<game_mode>~<made at, Unix milliseconds>~<nonce>~<signature>`: no game mode holds a `~`. In a mode whose matches are
formed by rules the player's part of its ticket stands before the signature, compressed. The signature is HMAC-SHA256
(RFC 2104, cut to 128 bits as its section 5 allows) over the player and the other parts. A token is good only while it
also stands in the player's record. It is told by Redis' clock, which every node shares, and for all usual names it has
at most 64 characters, up to which Redis keeps a record packed.
"""

import base64
import hashlib
import hmac
import secrets
import zlib
from itertools import count
from typing import NamedTuple

from match_server.redis_clock import RedisClock

_NONCE_BYTES = 6
_SIGNATURE_BYTES = 16
_KEYS_KEPT = 3


class Proven(NamedTuple):
    """What a valid token says."""

    game_mode: str
    made_at_ms: int  # by Redis' clock
    part: str = ""  # of a ticket


class TokenMint:
    """Makes and checks tokens. Before Redis was reached it can do neither: it knows neither the secret nor the time."""

    def __init__(self, clock: RedisClock) -> None:
        """`clock` is set by whoever hears from Redis: a token's age must not hang on a node's own clock."""
        self.secret = secrets.token_hex(32)  # the one to propose: our own, until the pool's is known
        self._keys: list[bytes] = []  # the pool's, and before it those that it had until Redis lost them
        self._clock = clock
        # Tells two tokens of one millisecond apart, and need not be secret: the signature is what nobody can guess.
        self._nonces = count(int.from_bytes(secrets.token_bytes(_NONCE_BYTES - 1)))

    @property
    def ready(self) -> bool:
        """Whether the pool's secret and the time are known."""
        return bool(self._keys) and self._clock.known

    def learn(self, secret: str) -> None:
        """Take the pool's secret. Tokens signed with an earlier one stay good."""
        self.secret = secret
        key = secret.encode()
        self._keys = [key, *(known for known in self._keys if known != key)][:_KEYS_KEPT]

    def mint(self, player_id: str, game_mode: str, part: str = "") -> str:
        """Make a token for a journey that begins, with its part of a ticket. Raises RuntimeError unless `ready`."""
        if not self.ready:
            raise RuntimeError("the pool's secret or its time is not known yet")
        made_at_ms = self._clock.now_us() // 1000
        said = f"{game_mode}~{made_at_ms}~{_text(next(self._nonces).to_bytes(_NONCE_BYTES))}"
        if part:
            said += f"~{_text(zlib.compress(part.encode()))}"
        return f"{said}~{_sign(self._keys[0], player_id, said)}"

    def verify(self, player_id: str, token: str) -> Proven | None:
        """What the token says, or None when it was not made for this player with this secret."""
        said, _, signature = token.rpartition("~")
        parts = said.split("~")
        if len(parts) not in {3, 4}:
            return None
        for key in self._keys:
            if hmac.compare_digest(signature.encode(), _sign(key, player_id, said).encode()):
                return Proven(parts[0], int(parts[1]), _part(parts))
        return None


def part_of(token: str) -> str:
    """The part of a ticket in a token that is known to be good."""
    return _part(token.split("~")[:-1])


def _sign(key: bytes, player_id: str, said: str) -> str:
    digest = hmac.digest(key, f"{player_id}~{said}".encode(), hashlib.sha256)
    return _text(digest[:_SIGNATURE_BYTES])


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _part(parts: list[str]) -> str:
    if len(parts) < 4:
        return ""
    packed = base64.urlsafe_b64decode(parts[3] + "=" * (-len(parts[3]) % 4))
    return zlib.decompress(packed).decode()
