"""A message that is asked, not told: it carries the answer back to who waits for it."""

import asyncio
from collections.abc import Awaitable
from typing import Generic, TypeVar

from match_server.errors import AskTimeout

T = TypeVar("T")


class Request(Generic[T]):
    """A message that wants an answer. Whoever handles it calls `answer` or `fail` once; the core does it at a stop.

    `upkeep` puts it into the second lane: nobody waits for it who would notice.
    """

    __slots__ = ("_future", "upkeep")

    def __init__(self, *, upkeep: bool = False) -> None:
        self._future: asyncio.Future[T] | None = None  # told, not asked: nobody waits
        self.upkeep = upkeep

    def answer(self, value: T) -> None:
        """Give the answer; nothing happens when the asker no longer waits."""
        if self._future and not self._future.done():
            self._future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """End the ask with an error; nothing happens when the asker no longer waits."""
        if self._future and not self._future.done():
            self._future.set_exception(error)
            self._future.exception()  # told to whoever asks; nobody has to

    @property
    def open(self) -> bool:
        """Whether it is still to be handled: nobody has answered, and no asker has given up."""
        return self._future is None or not self._future.done()

    def expect(self, loop: asyncio.AbstractEventLoop, timeout_seconds: float) -> Awaitable[T]:
        """Be asked: the answer, to be waited for; AskTimeout when there is none in time."""
        self._future = loop.create_future()
        return self._result(loop, self._future, timeout_seconds)

    async def _result(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], timeout_seconds: float) -> T:
        # Not `asyncio.timeout`: that one costs twice as much, and every step of a journey is an ask.
        timer = loop.call_later(timeout_seconds, self._expire, timeout_seconds)
        try:
            return await future
        finally:
            timer.cancel()
            # An error keeps this frame by its traceback, and these keep the error: no circle to collect.
            del self, future

    def _expire(self, timeout_seconds: float) -> None:
        self.fail(AskTimeout(f"no answer in {timeout_seconds:g} s"))
