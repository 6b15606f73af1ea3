"""An event loop whose clock jumps to the next timer instead of waiting for it.

A scenario of minutes takes milliseconds, the same way each time: time passes only when nobody has anything left to do.
Only for scenarios without sockets or threads; those run on an ordinary loop.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: every task waits, and no timer is set")
            self._jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and stands still while there is work."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now

    def _jump(self, seconds: float) -> None:
        self._now += seconds


async def until_quiet() -> None:
    """Return once every other task waits for something: a timer, or a message."""
    await asyncio.sleep(1e-6)


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario on virtual time. It fails when it leaves a task behind."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(leaving_nothing_behind(scenario))


async def leaving_nothing_behind(scenario: Coroutine[Any, Any, T]) -> T:
    """The scenario's result; an AssertionError when a task of its still runs."""
    result = await scenario
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []
    return result
