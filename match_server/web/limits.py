"""How much one connection, and one address, may ask for."""

from collections import Counter
from collections.abc import Callable


class TokenBucket:
    """At most `rate` messages a second, after a burst of at most twice that."""

    __slots__ = ("_burst", "_clock", "_level", "_then", "rate")

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._burst = max(1.0, 2 * rate)
        self._clock = clock
        self._level = self._burst
        self._then = clock()

    def take(self) -> float:
        """Take one. Returns 0, or the seconds until there would have been one to take."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._then) * self.rate)
        self._then = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self.rate


class ConnectionLimit:
    """How many connections there may be, in all and from one address. 0 from one address is no limit."""

    def __init__(self, *, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._by_address: Counter[str] = Counter()
        self.count = 0  # how many there are

    def enter(self, address: str) -> bool:
        """Count a connection in; False when there is no room for it."""
        if self.count >= self._total:
            return False
        if self._per_address and self._by_address[address] >= self._per_address:
            return False
        self._by_address[address] += 1
        self.count += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self.count -= 1
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
