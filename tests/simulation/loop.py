"""An event loop with a time of its own: when nothing is ready, it jumps to the next timer."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

_LONGEST_RUN_SECONDS = 600.0
_ROUNDS_TO_END = 20
_LONGEST_BURST = 20_000  # callbacks at one instant; beyond that something calls itself without end


class Stuck(Exception):
    """Nothing is ready and no timer runs, or time does not go on."""


class _Task(asyncio.Task[Any]):
    """Sets of tasks are walked by their hashes: make that the order of their creation, not of their addresses."""

    def __init__(self, number: int, work: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        super().__init__(work, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks and timers, nothing else: there are no sockets here, and no threads.

    Args:
        start: the time at the beginning, in seconds.
        shuffle: chooses the order of callbacks that are ready at once; None: the order of their coming.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, *, start: float, shuffle: Random | None) -> None:
        super().__init__()
        self._now = start
        self._end = start + _LONGEST_RUN_SECONDS
        self._shuffle = shuffle
        self._tasks_made = 0
        self._burst = 0
        self.clock_resolution = 0.0
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """The simulated time, in seconds."""
        return self._now

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        self._tasks_made += 1
        return _Task(self._tasks_made, work, loop=loop, **options)

    def _run_once(self) -> None:
        """One round: what is ready now runs once; what that makes ready waits for the next round."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if ready:
            self._burst += len(ready)
            if self._burst > _LONGEST_BURST:
                raise Stuck(f"time stands still at {self._now}")
        elif scheduled:
            self._now = max(self._now, scheduled[0].when())
            if self._now > self._end:
                raise Stuck("it does not come to an end")
            self._burst = 0
        else:
            raise Stuck("nothing is ready, and no timer runs")
        while scheduled and scheduled[0].when() <= self._now:
            ready.append(heapq.heappop(scheduled))
        count = len(ready)
        if count > 1 and self._shuffle:
            batch = list(ready)
            ready.clear()
            self._shuffle.shuffle(batch)
            ready.extend(batch)
        for _ in range(count):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays where it is until its time has come."""

    def _write_to_self(self) -> None:
        """There is no other thread to wake this one for."""

    def _process_events(self, event_list: object) -> None:
        """There are no events but timers."""

    def shut(self) -> None:
        """Cancel every task, let them end, and close; whatever waits longer than that is forgotten."""
        for _ in range(_ROUNDS_TO_END):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self._scheduled.clear()
            self.call_soon(self.stop)
            self.run_forever()
        self._ready.clear()
        self._scheduled.clear()
        self.close()


def run(loop: SimulatedLoop, main: Callable[[], Coroutine[Any, Any, None]], end: Callable[[], None]) -> None:
    """Run to the end of `main`, call `end`, and shut the loop."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main())
    finally:
        loop.call_soon(end)
        loop.shut()
        asyncio.set_event_loop(None)
