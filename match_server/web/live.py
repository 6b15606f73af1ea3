"""`GET /dashboard/live`: the readings as Server-Sent Events. One reading a second serves every page; without any, none.

Each page gets the newest reading when it can take one, and every event since the last that it got, as far as they are
kept: one that reads slowly holds up nobody, and takes no more memory than another.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable

import structlog
from pydantic_core import to_json

from match_server.web.readings import Readings

log = structlog.get_logger(__name__)

MOST_PAGES = 64
_SECONDS = 1.0  # from one reading to the next
_AFTERWARDS_SECONDS = 60.0  # for which it reads on without a page: one that is loaded anew finds its charts
_LOOK_SECONDS = 0.05


class LiveReadings:
    """Started by `run`, which whoever owns it cancels; `follow` is one page's stream."""

    def __init__(
        self,
        make: Callable[[], Readings],
        *,
        stopping: Callable[[], bool],
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        """`make` begins anew, with nothing remembered; `stopping` says that the node ends, and so do the streams.

        `now` is the time of day, in seconds, by which sessions end; `clock` the event loop's time.
        """
        self._make = make
        self._stopping = stopping
        self._now = now
        self._clock = clock
        self._readings = make()
        self._latest = b""
        self._count = 0  # of readings
        self._changed = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._pages = 0

    @property
    def full(self) -> bool:
        """Whether as many pages look on as may."""
        return self._pages >= MOST_PAGES

    async def run(self) -> None:
        """Read for as long as there are pages."""
        while True:
            await self._wanted.wait()
            self._readings = self._make()
            left_at = self._clock()
            while self._pages or self._clock() < left_at + _AFTERWARDS_SECONDS:
                next_at = self._clock() + _SECONDS
                await self._read()
                while self._clock() < next_at and not self._stopping():  # noqa: ASYNC110 - a stop sets no event
                    await asyncio.sleep(_LOOK_SECONDS)
                if self._stopping():
                    await self._tell()
                    return
                if self._pages:
                    left_at = self._clock()
            self._latest = b""
            self._wanted.clear()

    async def _read(self) -> None:
        """Take a reading. A bug in it must not end the node, which players are on."""
        try:
            self._latest = await self._readings.read()
        except Exception as error:
            error_id = uuid.uuid4().hex
            log.error("dashboard_reading_failed", error_id=error_id, exc_info=error)
            self._latest = to_json({"problem": f"a bug of ours; it is logged under {error_id}"})
        self._count += 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def follow(self, *, ends_at: float | None) -> AsyncGenerator[bytes, None]:
        """One page's stream; `ends_at` is when its session does, by the time of day."""
        self._pages += 1
        self._wanted.set()
        try:
            yield b"retry: 1000\n\n"
            serial = count = 0
            readings: Readings | None = None
            while not self._stopping() and (ends_at is None or self._now() < ends_at):
                if self._latest and count != self._count:
                    if readings is not self._readings:
                        readings, serial = self._readings, 0
                        yield _message("points", readings.points)
                    count = self._count
                    events = [event for event in readings.events if event.serial > serial]
                    yield _message("reading", self._latest)
                    if events or not serial:
                        yield _message("events", b"[" + b",".join(event.document for event in events) + b"]")
                        serial = events[-1].serial if events else serial
                    continue
                async with self._changed:
                    if count == self._count or not self._latest:
                        await self._changed.wait()
        finally:
            self._pages -= 1


def _message(event: str, document: bytes) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + document + b"\n\n"
