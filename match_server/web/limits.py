"""How much one connection, and one address, may ask for."""

import time
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


class Place:
    """One connection's place among those that there may be at a time."""

    __slots__ = ("_limit", "address", "give_way", "since")

    def __init__(self, limit: "ConnectionLimit", address: str, since: float) -> None:
        self._limit = limit
        self.address = address
        self.since = since
        self.give_way: Callable[[], None] | None = None  # closes the connection; None before it is accepted

    def accepted(self, give_way: Callable[[], None]) -> None:
        """The handshake is over: from now on the connection may have to give way, until it claims a player."""
        self.give_way = give_way
        self._limit.may_give_way(self)

    def claimed(self) -> None:
        """The connection has made a valid claim to a player: it keeps its place."""
        self._limit.keeps(self)

    def leave(self) -> None:
        """Count the connection out, unless it has given way already."""
        self._limit.leave(self)


class ConnectionLimit:
    """How many connections there may be, in all and from one address. 0 from one address is no limit.

    Where there is no room, a new connection takes the place of the oldest that has claimed no player for
    `claim_seconds`: who only connects must not keep players out.
    """

    def __init__(
        self, *, total: int, per_address: int, claim_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._per_address = per_address
        self._claim_seconds = claim_seconds
        self._clock = clock
        self._by_address: Counter[str] = Counter()
        self._there: set[Place] = set()
        self._unclaimed: dict[Place, None] = {}  # oldest first
        self._unclaimed_by_address: dict[str, dict[Place, None]] = {}  # likewise; only where addresses have a limit

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._there)

    def enter(self, address: str) -> Place | None:
        """Count a connection in; None when there is no room for it."""
        if self._per_address and self._by_address[address] >= self._per_address:
            if not self._make_room(self._unclaimed_by_address.get(address, {})):
                return None
        elif self.count >= self._total and not self._make_room(self._unclaimed):
            return None
        place = Place(self, address, self._clock())
        self._there.add(place)
        self._by_address[address] += 1
        return place

    def may_give_way(self, place: Place) -> None:
        """Note a connection that is there and has claimed nobody."""
        self._unclaimed[place] = None
        if self._per_address:
            self._unclaimed_by_address.setdefault(place.address, {})[place] = None

    def keeps(self, place: Place) -> None:
        """Note that a connection need not give way."""
        self._unclaimed.pop(place, None)
        of_address = self._unclaimed_by_address.get(place.address)
        if of_address is not None:
            of_address.pop(place, None)
            if not of_address:
                del self._unclaimed_by_address[place.address]

    def leave(self, place: Place) -> None:
        """Count a connection out; once, however often it is said."""
        if place not in self._there:
            return
        self._there.remove(place)
        self.keeps(place)
        self._by_address[place.address] -= 1
        if self._by_address[place.address] <= 0:
            del self._by_address[place.address]

    def _make_room(self, unclaimed: dict[Place, None]) -> bool:
        oldest = next(iter(unclaimed), None)
        if oldest is None or oldest.give_way is None or self._clock() - oldest.since < self._claim_seconds:
            return False
        self.leave(oldest)
        oldest.give_way()
        return True
