"""A sink gets every event in order, however often it or its process fails; what it refuses for good is set aside."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest

from match_server.errors import StoreUnavailable
from match_server.events.cloudevents import CloudEvent
from match_server.platform.consumer import Consumer, SinkRefuses, SinkUnavailable
from match_server.platform.stream import EventTail, SinkStream
from match_server.store.client import connect
from match_server.store.scripts import ScriptRunner
from tests.store.pool import Pool, scripts


class Recorder:
    """A sink that keeps what it is given, and fails as it is told."""

    name = "recorder"

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.attempts = 0
        self.unavailable = 0  # times
        self.refused: set[str] = set()  # subjects
        self.blocked = asyncio.Event()
        self.blocked.set()

    async def store(self, batch: Sequence[CloudEvent]) -> None:
        self.attempts += 1
        await self.blocked.wait()
        if self.unavailable:
            self.unavailable -= 1
            raise SinkUnavailable("away")
        if any(event.subject in self.refused for event in batch):
            raise SinkRefuses("never this")
        self.stored += [event.subject for event in batch]


Work = Callable[[Callable[[], SinkStream]], Coroutine[Any, Any, None]]


def on(url: str, pool: Pool, work: Work) -> None:
    """Run work that reads the pool's stream."""

    async def run() -> None:
        redis = connect(url)
        runner = ScriptRunner(redis, prefix=pool.prefix, scripts=scripts())
        try:
            await work(lambda: SinkStream(redis, runner, prefix=pool.prefix, sink="recorder"))
        finally:
            await redis.aclose()

    asyncio.run(run())


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


async def feeding(sink: Recorder, stream: SinkStream, holder: str = "a") -> asyncio.Task[None]:
    return asyncio.create_task(Consumer(sink, stream, source="/test", holder=holder).run())


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def players(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def test_everything_arrives_in_order_also_what_was_there_before(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        sink = Recorder()
        task = await feeding(sink, stream())
        await until(lambda: len(sink.stored) == 5)
        await asyncio.to_thread(pool.redis, "PING")
        assert sink.stored == players(5)
        position = await stream().position()
        await until(lambda: _is_done(stream()))
        assert position.lost == 0
        await end(task)

    pool.enqueue(*players(5))
    on(redis_url, pool, work)


async def _is_done(stream: SinkStream) -> bool:
    return (await stream.position()).behind == 0


def test_a_sink_that_is_away_is_asked_again(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        sink = Recorder()
        sink.unavailable = 3
        task = await feeding(sink, stream())
        await until(lambda: len(sink.stored) == 3)
        assert sink.stored == players(3)
        assert sink.attempts == 5, "the first that succeeds brings nothing"
        await end(task)

    pool.enqueue(*players(3))
    on(redis_url, pool, work)


def test_what_a_dead_process_left_is_taken_over(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        dead = stream()
        assert await dead.hold_lease("dead")
        await dead.unfinished()
        assert [entry.text.count("\n") for entry in await dead.new()] == [3]  # read, and never acknowledged
        sink = Recorder()
        task = await feeding(sink, stream())
        await asyncio.sleep(0)
        assert not await stream().hold_lease("third"), "the lease of the dead one has yet to run out"
        await dead.release_lease("dead")
        await until(lambda: len(sink.stored) == 4)
        assert sink.stored == players(4)
        await end(task)

    pool.enqueue(*players(4))
    on(redis_url, pool, work)


def test_one_process_feeds_a_sink_at_a_time_and_another_follows_at_once(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        first, second = Recorder(), Recorder()
        one = await feeding(first, stream(), "one")
        await until(lambda: len(first.stored) == 2)
        two = await feeding(second, stream(), "two")
        await asyncio.sleep(0.1)
        assert second.attempts == 0
        await end(one)
        async with asyncio.timeout(3):  # less than the lease
            await until(lambda: _is_held_by_two(stream()))
        await end(two)

    async def _is_held_by_two(stream: SinkStream) -> bool:
        if not await stream.hold_lease("one"):
            return True
        await stream.release_lease("one")
        return False

    pool.enqueue(*players(2))
    on(redis_url, pool, work)


def test_what_a_sink_refuses_for_good_becomes_a_dead_letter_and_holds_up_nobody(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        sink = Recorder()
        sink.refused = {"p3"}
        task = await feeding(sink, stream())
        await until(lambda: len(sink.stored) == 6)
        assert sink.stored == [player for player in players(7) if player != "p3"]
        await until(lambda: _is_done(stream()))
        (letter,) = await stream().dead_letters()
        assert letter.reason == "never this"
        assert letter.entry.text == "player.queued\tp3\tduel\tfalse\t"
        assert (await stream().position()).dead_letters == 1
        assert await stream().drop_dead_letter(letter.letter_id)
        assert not await stream().drop_dead_letter(letter.letter_id)
        await end(task)

    for player in players(7):
        pool.enqueue(player)
    on(redis_url, pool, work)


def test_a_sink_that_is_away_is_told_of_before_any_event(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        sink = Recorder()
        sink.unavailable = 10**6
        consumer = Consumer(sink, stream(), source="/match-server/test", holder="one")
        assert consumer.failing
        task = asyncio.create_task(consumer.run())
        await until(lambda: consumer.failing == "away")
        sink.unavailable = 0
        await until(lambda: not consumer.failing)
        await end(task)

    on(redis_url, pool, work)


@pytest.mark.parametrize(("field", "text"), [("e", "player.vanished\tann"), ("junk", "x"), ("e", b"\xff\xfe")])
def test_an_entry_that_cannot_be_read_is_set_aside(redis_url: str, pool: Pool, field: str, text: str | bytes) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        sink = Recorder()
        task = await feeding(sink, stream())
        await until(lambda: _has_letters(stream(), 1))
        assert "no such type" in (await stream().dead_letters())[0].reason
        await end(task)

    pool.redis("XADD", f"{pool.prefix}events", "5-1", field, text)
    on(redis_url, pool, work)


async def _has_letters(stream: SinkStream, count: int) -> bool:
    return len(await stream.dead_letters()) == count


def test_a_redis_that_lost_its_data_is_read_from_its_new_beginning(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        sink = Recorder()
        task = await feeding(sink, stream())
        await until(lambda: len(sink.stored) == 1)
        await asyncio.to_thread(pool.delete_everything)
        await asyncio.to_thread(
            pool.redis, "XADD", f"{pool.prefix}events", "9000000000000-1", "e", "player.queued\tbob\tduel\tfalse\t"
        )
        await until(lambda: sink.stored[-1] == "bob")
        await end(task)

    pool.enqueue("ann")
    on(redis_url, pool, work)


def test_what_nobody_has_registered_for_counts_as_behind(redis_url: str, pool: Pool) -> None:
    """After a loss of data a sink is not up to date because its consumer group has gone with the data."""

    async def work(stream: Callable[[], SinkStream]) -> None:
        assert (await stream().position()).behind == 1
        sink = Recorder()
        task = await feeding(sink, stream())
        await until(lambda: len(sink.stored) == 1)
        await end(task)
        assert (await stream().position()).behind == 0

    pool.enqueue("ann")
    on(redis_url, pool, work)


def test_whoever_reads_along_gets_what_comes_behind_an_event(redis_url: str, pool: Pool) -> None:
    async def work(stream: Callable[[], SinkStream]) -> None:
        redis = connect(redis_url)
        tail = EventTail(redis, prefix=pool.prefix)
        last = await tail.last_id()
        assert await tail.after(last) == []
        await redis.aclose()

    pool.enqueue(*players(3))
    on(redis_url, pool, work)


def test_a_lost_lease_stops_the_old_holder(redis_url: str, pool: Pool) -> None:
    """It was held up for longer than its lease; its batch goes to the new holder, and it does not go on by itself."""

    async def work(stream: Callable[[], SinkStream]) -> None:
        old, new = Recorder(), Recorder()
        old.unavailable = 10_000
        one = await feeding(old, stream(), "old")
        await until(lambda: old.attempts > 0)
        pool.redis("SET", f"{pool.prefix}events:lease:recorder", "new", "PX", 5000)
        two = await feeding(new, stream(), "new")
        await until(lambda: len(new.stored) == 2)
        before = old.attempts
        await asyncio.sleep(0.5)
        assert old.attempts <= before + 1
        await end(one)
        await end(two)

    pool.enqueue(*players(2))
    on(redis_url, pool, work)


def test_redis_away_is_no_crash(redis_url: str, pool: Pool) -> None:
    class Gone(SinkStream):
        calls = 0

        async def hold_lease(self, holder: str) -> bool:
            self.calls += 1
            raise StoreUnavailable("away")

    async def run() -> None:
        redis = connect(redis_url)
        stream = Gone(redis, ScriptRunner(redis, prefix=pool.prefix, scripts=scripts()), prefix=pool.prefix, sink="x")
        task = await feeding(Recorder(), stream)
        await until(lambda: stream.calls == 1)
        assert not task.done()
        await end(task)
        await redis.aclose()

    asyncio.run(run())
