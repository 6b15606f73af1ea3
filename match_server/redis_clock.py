"""Redis' clock, as this node knows it: every node shares it, and no node's own has to be right."""

import time

_LATE_US = 1_000_000  # an answer is read this late at most; beyond that it is Redis' clock that went back
_DRIFT_US = 500  # from one answer to the next, half a second later: more than clocks drift apart


class RedisClock:
    """Redis' microseconds between two answers of Redis, from this process' monotonic clock. May be late, never early.

    So what this node stamps `now_us` is never newer than what Redis does later.
    """

    def __init__(self) -> None:
        self._ahead_us: int | None = None  # Redis' clock, less this process' monotonic one

    @property
    def known(self) -> bool:
        """Whether Redis has told the time yet."""
        return self._ahead_us is not None

    def set(self, redis_us: int) -> None:
        """Take the time that Redis has just answered.

        An answer that a busy node reads late would set the clock late. So an earlier one that was read sooner counts
        on; a little less each time, as clocks drift, and not at all against a Redis whose clock went far back.
        """
        ahead_us, before_us = redis_us - time.monotonic_ns() // 1000, self._ahead_us
        if before_us is not None and 0 < before_us - ahead_us < _LATE_US:
            ahead_us = max(ahead_us, before_us - _DRIFT_US)
        self._ahead_us = ahead_us

    def at_least(self, redis_us: int) -> None:
        """Redis has done something at this time: what comes to this node from now on came later."""
        late_us = redis_us - self.now_us()
        if self._ahead_us is not None and 0 < late_us < _LATE_US:
            self._ahead_us += late_us

    def now_us(self) -> int:
        """The time. 0, which is before everything, while it is not `known`."""
        return 0 if self._ahead_us is None else self._ahead_us + time.monotonic_ns() // 1000
