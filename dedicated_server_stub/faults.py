"""Misbehaviour on purpose, for tests of the match server: late answers, refusals, failures, silence."""

import asyncio
import random
from contextlib import suppress
from enum import Enum, auto

from dedicated_server_stub.options import FaultOptions

# Longer than any caller waits; bounds how many hung calls pile up.
HANG_SECONDS = 60.0


class CallFault(Enum):
    """What befalls one create call, single or batched."""

    NONE = auto()
    FAIL = auto()  # answered 500, nothing created
    HANG = auto()  # carried out, then not answered: the caller cannot know


class Faults:
    """Draws the faults. With a seed the same calls meet the same faults."""

    def __init__(self, options: FaultOptions) -> None:
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311 - repeatable by design, no secret
        self._released = asyncio.Event()

    def of_call(self) -> CallFault:
        """Draw what befalls the next call."""
        if self._random.random() < self._options.fail_rate:
            return CallFault.FAIL
        if self._random.random() < self._options.hang_rate:
            return CallFault.HANG
        return CallFault.NONE

    def refuses(self) -> bool:
        """Draw whether the next session is refused."""
        return self._random.random() < self._options.refuse_rate

    async def hold(self, fault: CallFault) -> None:
        """Hold an answer back as long as the fault and the options want."""
        seconds = HANG_SECONDS if fault is CallFault.HANG else self._options.delay_seconds
        if seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._released.wait()

    def release(self) -> None:
        """Let all answers go that are held back, now and from now on: the server stops."""
        self._released.set()
