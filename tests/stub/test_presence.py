"""One suite of contracts for every implementation of presence, and what Redis alone can do to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
from redis.asyncio import Redis

from dedicated_server_stub.presence.interface import Presence, PresenceUnavailable, Write
from dedicated_server_stub.presence.memory import MemoryPresence
from dedicated_server_stub.presence.redis_presence import RedisPresence
from tests.shared.redis_server import RedisServer

Scenario: TypeAlias = Callable[[Presence], Awaitable[None]]


async def listened(presence: Presence, channel: str) -> "asyncio.Queue[str]":
    """Subscribe, and return once messages arrive."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    presence.subscribe(channel, heard.put_nowait)
    while heard.empty():
        await presence.publish(channel, "is it there?")
        await asyncio.sleep(0.01)
    await presence.publish(channel, "yes")
    while await heard.get() != "yes":
        pass
    return heard


@asynccontextmanager
async def running(presence: Presence) -> AsyncIterator[Presence]:
    task = asyncio.create_task(presence.run())
    yield presence
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def memory(_url: str, _prefix: str) -> AsyncIterator[Presence]:
    async with running(MemoryPresence(clock=asyncio.get_running_loop().time)) as presence:
        yield presence


@asynccontextmanager
async def over_redis(url: str, prefix: str) -> AsyncIterator[Presence]:
    async with RedisPresence.connect(url, prefix=prefix) as presence, running(presence):
        yield presence


KINDS = [memory, over_redis]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def play(request: pytest.FixtureRequest, redis_url: str, prefix: str) -> Callable[[Scenario], None]:
    def run(scenario: Scenario) -> None:
        async def with_presence() -> None:
            async with asyncio.timeout(120), request.param(redis_url, prefix) as presence:
                await scenario(presence)

        asyncio.run(with_presence())

    return run


def test_who_has_subscribed_hears_everything_in_order(play: Callable[[Scenario], None]) -> None:
    async def scenario(presence: Presence) -> None:
        heard, others = await listened(presence, "a"), await listened(presence, "b")
        for number in range(100):
            await presence.publish("a", f"{number}")
        assert [await heard.get() for _ in range(100)] == [f"{number}" for number in range(100)]
        assert others.empty()

    play(scenario)


def test_who_has_unsubscribed_hears_nothing(play: Callable[[Scenario], None]) -> None:
    async def scenario(presence: Presence) -> None:
        heard, last = await listened(presence, "a"), await listened(presence, "z")
        presence.unsubscribe("a")
        await presence.publish("a", "no more")
        await presence.publish("z", "after it")
        assert await last.get() == "after it"
        assert heard.empty()

    play(scenario)


def test_a_message_is_never_delivered_inside_publish(play: Callable[[Scenario], None]) -> None:
    async def scenario(presence: Presence) -> None:
        heard = await listened(presence, "a")
        publishing = presence.publish("a", "later")
        assert heard.empty()
        await publishing
        assert await heard.get() == "later"

    play(scenario)


def test_a_key_is_forgotten_when_its_time_is_over(play: Callable[[Scenario], None]) -> None:
    async def scenario(presence: Presence) -> None:
        assert await presence.get("k") is None
        await presence.set("k", "for ever", seconds=3600)
        assert await presence.get("k") == "for ever"
        await presence.set("k", "a moment", seconds=0.01)
        while await presence.get("k") is not None:  # noqa: ASYNC110 - it is another program's time
            await asyncio.sleep(0.005)

    play(scenario)


def test_the_fields_of_a_hash(play: Callable[[Scenario], None]) -> None:
    async def scenario(presence: Presence) -> None:
        assert await presence.hash_get_all("h") == {}
        await presence.hash_set("h", "a", "1")
        await presence.hash_set("h", "b", "2")
        await presence.hash_set("h", "a", "ä")
        assert await presence.hash_get_all("h") == {"a": "ä", "b": "2"}
        await presence.hash_delete("h", "a")
        await presence.hash_delete("h", "nothing")
        assert await presence.hash_get_all("h") == {"b": "2"}

    play(scenario)


def test_a_lease_has_one_owner_and_only_that_one_writes(play: Callable[[Scenario], None]) -> None:
    async def scenario(presence: Presence) -> None:
        assert await presence.hold("l", "first", seconds=3600, write=Write("k", "from first", 3600))
        assert not await presence.hold("l", "second", seconds=3600, write=Write("k", "from second", 3600))
        assert await presence.get("k") == "from first"
        assert await presence.hold("l", "first", seconds=0.01)
        while not await presence.hold("l", "second", seconds=3600, write=Write("k", "from second", 3600)):  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.005)
        assert await presence.get("k") == "from second"
        assert not await presence.hold("l", "first", seconds=3600)

    play(scenario)


def test_two_processes_see_the_same(redis_url: str, prefix: str) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), over_redis(redis_url, prefix) as one, over_redis(redis_url, prefix) as other:
            heard = await listened(other, "a")
            await one.publish("a", "across")
            assert await heard.get() == "across"
            await one.set("k", "v", seconds=60)
            assert await other.get("k") == "v"
            assert await one.hold("l", "one", seconds=60)
            assert not await other.hold("l", "other", seconds=60)
            async with over_redis(redis_url, prefix + "else:") as stranger:
                assert await stranger.get("k") is None

    asyncio.run(scenario())


def test_a_message_that_is_no_text_ends_nothing(redis_url: str, prefix: str) -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(120),
            over_redis(redis_url, prefix) as presence,
            Redis.from_url(redis_url) as stranger,
        ):
            heard = await listened(presence, "a")
            await stranger.publish(f"{prefix}a", b"\xff")
            await presence.publish("a", "after it")
            assert [await heard.get(), await heard.get()] == ["\ufffd", "after it"]

    asyncio.run(scenario())


def test_it_says_that_redis_is_away_and_hears_again_when_it_is_back(prefix: str) -> None:
    async def scenario(redis: RedisServer) -> None:
        async with over_redis(redis.url, prefix) as presence:
            heard = await listened(presence, "a")
            redis.kill()
            with pytest.raises(PresenceUnavailable):
                await presence.set("k", "v", seconds=60)
            redis.start()
            while heard.empty():
                await asyncio.sleep(0.01)
                await presence.publish("a", "back")
            assert await heard.get() == "back"

    with RedisServer() as redis:
        asyncio.run(asyncio.wait_for(scenario(redis), timeout=150))
