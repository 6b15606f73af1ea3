"""A one-way line: what goes in comes out later, in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Brings items to `deliver`, each after some milliseconds, none before an earlier one.

    Args:
        deliver: called with each item.
        chance: how long each takes.
    """

    def __init__(self, deliver: Callable[[T], None], chance: Random) -> None:
        self._deliver = deliver
        self._chance = chance
        self._items: deque[T] = deque()
        self._last = 0.0
        self._cut = False

    def put(self, item: T, delay_seconds: float = 0.0) -> None:
        """Send an item on its way."""
        if self._cut:
            return
        loop = asyncio.get_running_loop()
        self._last = max(self._last, loop.time() + delay_seconds + self._chance.uniform(0.0002, 0.004))
        self._items.append(item)
        loop.call_at(self._last, self._arrive)

    def cut(self) -> None:
        """Nothing comes out any more."""
        self._cut = True
        self._items.clear()

    def _arrive(self) -> None:
        if self._items:  # whichever timer comes first, the oldest item arrives
            self._deliver(self._items.popleft())
