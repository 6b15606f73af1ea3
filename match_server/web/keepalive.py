"""Pings on one WebSocket, to notice a peer that has vanished."""

import asyncio
import random
import struct
from typing import Protocol

_PINGS_SPARED = 3  # in a row, for a peer that talks


class Peer(Protocol):
    """The connection, as its keepalive uses it."""

    def ping(self, payload: bytes) -> None:
        """Send a ping."""

    def vanished(self) -> None:
        """No pong has come within the timeout."""


class Keepalive:
    """Pings the peer of one connection, from its creation until `stop`.

    A peer that was heard from within the last half of an interval is not pinged, for it is there. After three such
    times in a row it is pinged all the same: it may send, and read nothing any more.

    Args:
        interval_seconds: between a pong and the next ping at most; half of it at least.
        timeout_seconds: from a ping to its pong.
    """

    __slots__ = ("_interval_seconds", "_loop", "_payload", "_peer", "_spared", "_timeout_seconds", "_timer", "heard")

    def __init__(
        self, peer: Peer, loop: asyncio.AbstractEventLoop, *, interval_seconds: float, timeout_seconds: float
    ) -> None:
        self.heard = loop.time()  # when the peer last sent anything, by the loop's clock; kept by the connection
        self._peer = peer
        self._loop = loop
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._spared = 0  # pings in a row
        self._payload: bytes | None = None  # of the ping that has no pong yet
        self._timer = self._next_ping()

    def pong(self, payload: bytes) -> None:
        """Take a pong. Only the answer to the ping under way counts."""
        if payload == self._payload:
            self._payload = None
            self._timer.cancel()
            self._timer = self._next_ping()

    def stop(self) -> None:
        """Send no ping any more, and wait for no pong."""
        self._timer.cancel()

    def _next_ping(self, silent_seconds: float = 0.0) -> asyncio.TimerHandle:
        """Set the timer. Peers that connected in one rush would be pinged in one, over and over, without the spread."""
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return self._loop.call_later(spread * self._interval_seconds - silent_seconds, self._ping)

    def _ping(self) -> None:
        silent_seconds = self._loop.time() - self.heard
        if silent_seconds < 0.5 * self._interval_seconds and self._spared < _PINGS_SPARED:
            self._spared += 1
            self._timer = self._next_ping(silent_seconds)
            return
        self._spared = 0
        self._payload = struct.pack("!I", random.getrandbits(32))
        self._timer = self._loop.call_later(self._timeout_seconds, self._peer.vanished)
        self._peer.ping(self._payload)
