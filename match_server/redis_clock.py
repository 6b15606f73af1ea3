"""Redis' clock, as this node knows it: every node shares it, and no node's own has to be right."""

import asyncio
import time

_LATE_US = 1_000_000  # an answer is read this late at most; beyond that it is Redis' clock that went back
_DRIFT = 0.001  # more than clocks drift apart
_LATE_IN_A_ROW = 20  # answers; a busy node reads one in a while in good time
_TURN_SECONDS = 0.1
_STOOD_US = 250_000


class RedisClock:
    """Redis' microseconds between two answers of Redis, from this process' monotonic clock.

    It may be late. It is early only for some seconds after Redis' clock went back by less than a second. So what this
    node stamps is not newer than what Redis does later.
    """

    def __init__(self) -> None:
        self._ahead_us: int | None = None  # Redis' clock, less this process' monotonic one
        self._set_us = 0  # by the monotonic clock
        self._late_in_a_row = 0
        self._turned_us: int | None = None  # when the event loop was last seen to turn, by the monotonic clock
        self._stood_since_us: int | None = None  # before that it stood still since then

    @property
    def known(self) -> bool:
        """Whether Redis has told the time yet."""
        return self._ahead_us is not None

    def set(self, redis_us: int) -> None:
        """Take the time that Redis has just answered.

        An answer that a busy node reads late would set the clock late. So an earlier one that was read sooner counts
        on; a little less each time, as clocks drift, and not at all against a Redis whose clock went back.
        """
        now_us = _monotonic_us()
        ahead_us, before_us = redis_us - now_us, self._ahead_us
        late = before_us is not None and 0 < before_us - ahead_us < _LATE_US
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        if before_us is not None and late and self._late_in_a_row < _LATE_IN_A_ROW:
            ahead_us = max(ahead_us, before_us - int((now_us - self._set_us) * _DRIFT))
        self._ahead_us, self._set_us = ahead_us, now_us

    def at_least(self, redis_us: int) -> None:
        """Redis has done something at this time: what comes to this node from now on came later."""
        late_us = redis_us - self.now_us()
        if self._ahead_us is not None and 0 < late_us < _LATE_US:
            self._ahead_us += late_us

    def now_us(self) -> int:
        """The time. 0, which is before everything, while it is not `known`."""
        return self._at(_monotonic_us())

    def received_us(self) -> int:
        """The time at which a message that is read now had come, at the earliest.

        That is now, unless this process stood still: then it may have lain in its socket since (docs/races.md, 23).
        """
        now_us, turned_us = _monotonic_us(), self._turned_us
        if self._stood_since_us is not None:
            return self._at(self._stood_since_us)
        if turned_us is not None and now_us - turned_us > _STOOD_US:
            return self._at(turned_us)
        return self._at(now_us)

    async def watch(self) -> None:
        """See the event loop turn, for ever."""
        while True:
            self.turned()
            await asyncio.sleep(_TURN_SECONDS)

    def turned(self) -> None:
        """The loop turns. Had it stood still, what comes until the next turn may have come meanwhile."""
        now_us, before_us = _monotonic_us(), self._turned_us
        stood = before_us is not None and now_us - before_us > _STOOD_US
        self._turned_us, self._stood_since_us = now_us, before_us if stood else None

    def _at(self, monotonic_us: int) -> int:
        return 0 if self._ahead_us is None else self._ahead_us + monotonic_us


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000
