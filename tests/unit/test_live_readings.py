"""One reading a second serves every page of the dashboard, and none is taken for nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, cast

from match_server.web.live import MOST_PAGES, LiveReadings
from match_server.web.readings import Readings, ShownEvent
from tests.unit.virtual_time import run


class FakeReadings:
    """Counts how often it is read; the second reading brings an event, the third is a bug."""

    points = b"{}"

    def __init__(self) -> None:
        self.count = 0
        self.events: list[ShownEvent] = []

    async def read(self) -> bytes:
        self.count += 1
        if self.count == 2:
            self.events.append(ShownEvent(1, b'"an event"'))
        if self.count == 3:
            raise ZeroDivisionError
        return str(self.count).encode()


class World:
    def __init__(self) -> None:
        self.made: list[FakeReadings] = []
        self.stopping = False
        self.clock = asyncio.get_running_loop().time
        self.live = LiveReadings(self._make, stopping=lambda: self.stopping, now=self.clock, clock=self.clock)

    def _make(self) -> Readings:
        self.made.append(FakeReadings())
        return cast("Readings", self.made[-1])

    @property
    def read(self) -> int:
        return sum(each.count for each in self.made)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    there = World()
    running = asyncio.create_task(there.live.run())
    try:
        yield there
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def messages(world: World, count: int, *, ends_at: float | None = None) -> list[bytes]:
    """The first of one page, which then leaves."""
    found: list[bytes] = []
    async with aclosing(world.live.follow(ends_at=ends_at)) as page:
        async for message in page:
            found.append(message)
            if len(found) == count:
                break
    return found


def scenario(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def in_a_world() -> None:
        async with world() as there:
            await story(there)

    run(in_a_world())


def test_nothing_is_read_without_a_page_and_not_for_long_after_the_last() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(100)
        assert world.read == 0
        await messages(world, 3)
        await asyncio.sleep(1000)
        assert world.read <= 62
        await messages(world, 3)
        assert len(world.made) == 3, "what it had remembered is gone"

    scenario(story)


def test_one_reading_serves_all_pages() -> None:
    async def story(world: World) -> None:
        pages = await asyncio.gather(*(messages(world, 10) for _ in range(20)))
        assert world.read < 10
        assert len({tuple(page) for page in pages}) == 1

    scenario(story)


def test_a_page_gets_each_event_once_and_a_bug_ends_nothing() -> None:
    async def story(world: World) -> None:
        found = await messages(world, 8)
        assert found[:4] == [
            b"retry: 1000\n\n",
            b"event: points\ndata: {}\n\n",
            b"event: reading\ndata: 1\n\n",
            b"event: events\ndata: []\n\n",
        ]
        assert found[4:6] == [b"event: reading\ndata: 2\n\n", b'event: events\ndata: ["an event"]\n\n']
        assert b"a bug of ours" in found[6]
        assert found[7] == b"event: reading\ndata: 4\n\n"
        late = await messages(world, 4)
        assert late[3] == b'event: events\ndata: ["an event"]\n\n', "a page that opens later finds what was there"

    scenario(story)


def test_a_page_that_reads_slowly_gets_the_newest_and_holds_up_nobody() -> None:
    async def story(world: World) -> None:
        async with aclosing(world.live.follow(ends_at=None)) as slow:
            for _ in range(4):
                await anext(slow)
            others = await messages(world, 12)
            assert len(others) == 12
            read = world.read
            assert await anext(slow) == f"event: reading\ndata: {read}\n\n".encode()

    scenario(story)


def test_a_stream_ends_with_its_session_and_with_the_node() -> None:
    async def story(world: World) -> None:
        assert len(await messages(world, 1000, ends_at=world.clock() + 10)) < 20
        page = asyncio.create_task(messages(world, 1000))
        await asyncio.sleep(5)
        stopped_at = world.clock()
        world.stopping = True
        await page
        assert world.clock() - stopped_at < 0.2
        assert await messages(world, 1000) == [b"retry: 1000\n\n"]

    scenario(story)


def test_there_are_no_more_pages_than_may_be() -> None:
    async def story(world: World) -> None:
        looks = []
        pages = [asyncio.create_task(messages(world, 1000)) for _ in range(MOST_PAGES)]
        looks.append(world.live.full)
        await asyncio.sleep(1)
        looks.append(world.live.full)
        world.stopping = True
        await asyncio.gather(*pages)
        looks.append(world.live.full)
        assert looks == [False, True, False]

    scenario(story)
