"""Redis' clock, as this node knows it. All nodes share it, so no node's own clock has to be right."""

import asyncio
import time

_LATE_US = 1_000_000  # a node reads an answer this late at most; if it seems later, Redis' clock went back
_DRIFT = 0.001  # more than clocks drift apart
_LATE_IN_A_ROW = 20  # answers; even a busy node reads one of so many on time
_TURN_SECONDS = 0.1
_STOOD_US = 250_000


class RedisClock:
    """Estimates Redis' time, in microseconds, between two answers of Redis; it uses this process' monotonic clock.

    The estimate may be late. It is early only for some seconds after Redis' clock went back by less than a second. So a
    time that this node writes is never later than what Redis does afterwards.
    """

    def __init__(self) -> None:
        self._ahead_us: int | None = None  # Redis' clock, less this process' monotonic one
        self._set_us = 0  # by the monotonic clock
        self._late_in_a_row = 0
        self._turned_us: int | None = None  # the last turn of the event loop, by the monotonic clock
        self._stood_since_us: int | None = None  # when it had stopped, if it stopped before that turn

    @property
    def known(self) -> bool:
        """Whether Redis has told the time yet."""
        return self._ahead_us is not None

    def set(self, redis_us: int) -> None:
        """Take the time that Redis has just answered.

        A busy node reads an answer late, and the clock would then be late too. So an earlier answer, read sooner, stays
        in use. It counts a little less each time, as clocks drift, and not at all if Redis' clock went back.
        """
        now_us = _monotonic_us()
        ahead_us, before_us = redis_us - now_us, self._ahead_us
        late = before_us is not None and 0 < before_us - ahead_us < _LATE_US
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        if before_us is not None and late and self._late_in_a_row < _LATE_IN_A_ROW:
            ahead_us = max(ahead_us, before_us - int((now_us - self._set_us) * _DRIFT))
        self._ahead_us, self._set_us = ahead_us, now_us

    def at_least(self, redis_us: int) -> None:
        """Note that Redis did something at this time: messages that this node reads from now on came later."""
        late_us = redis_us - self.now_us()
        if self._ahead_us is not None and 0 < late_us < _LATE_US:
            self._ahead_us += late_us

    def now_us(self) -> int:
        """The time; 0 while it is not `known`."""
        return self._at(_monotonic_us())

    def received_us(self) -> int:
        """The earliest time at which a message that is read now can have arrived.

        That is now, unless this process was stopped: the message may have waited in its socket since then
        (docs/races.md, 23).
        """
        now_us, turned_us = _monotonic_us(), self._turned_us
        if self._stood_since_us is not None:
            return self._at(self._stood_since_us)
        if turned_us is not None and now_us - turned_us > _STOOD_US:
            return self._at(turned_us)
        return self._at(now_us)

    async def watch(self) -> None:
        """Note every turn of the event loop. Runs until it is cancelled."""
        while True:
            self.turned()
            await asyncio.sleep(_TURN_SECONDS)

    def turned(self) -> None:
        """The event loop turned. If it had stopped before, messages read until its next turn may be older."""
        now_us, before_us = _monotonic_us(), self._turned_us
        stood = before_us is not None and now_us - before_us > _STOOD_US
        self._turned_us, self._stood_since_us = now_us, before_us if stood else None

    def _at(self, monotonic_us: int) -> int:
        return 0 if self._ahead_us is None else self._ahead_us + monotonic_us


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000
