"""What reaches a listener: frames, takeovers, and calls to catch up. On virtual time."""

import asyncio
import itertools

from match_server.actors.subscriber import CatchUpAll
from tests.unit.subscriber_world import NODE_CHANNEL, channel, world
from tests.unit.virtual_time import run, until_quiet


def test_a_frame_reaches_only_the_listeners_of_its_player() -> None:
    async def scenario() -> None:
        async with world() as w:
            ann, bob = await w.subscribed("ann"), await w.subscribed("bob")
            w.wire.message(channel("ann"), "1")
            w.wire.message(channel("nobody"), "2")
            w.wire.message(channel("ann"), "3")
            await until_quiet()
            assert ann.frames == [("ann", b"1"), ("ann", b"3")]
            assert bob.frames == []

    run(scenario())


def test_a_takeover_reaches_the_connection_that_it_names_and_no_other() -> None:
    async def scenario() -> None:
        async with world() as w:
            old, new = await w.subscribed("ann", "old"), await w.subscribed("ann", "new")
            bob = await w.subscribed("bob", "old")
            w.wire.message(NODE_CHANNEL, "taken_over ann old")
            w.wire.message(NODE_CHANNEL, "taken_over ann unknown")
            w.wire.message(NODE_CHANNEL, "taken_over carl old")
            await until_quiet()
            assert (old.lost, new.lost, bob.lost) == (["ann"], [], [])

    run(scenario())


def test_the_periodic_check_is_spread_over_its_period() -> None:
    async def scenario() -> None:
        async with world() as w:
            listeners = [await w.subscribed(f"p{number}") for number in range(90)]
            await asyncio.sleep(29)
            checked = []
            for _ in range(31):
                await asyncio.sleep(1)
                checked.append(sum(listener.catch_ups for listener in listeners))
            parts = [after - before for before, after in itertools.pairwise(checked)]
            assert set(parts[:29]) == {3}
            assert checked[29] == 90

    run(scenario())


def test_every_listener_catches_up_when_told_and_every_half_minute() -> None:
    async def scenario() -> None:
        async with world() as w:
            listeners = [await w.subscribed(name) for name in "ab"]
            w.ref.tell(CatchUpAll())
            await until_quiet()
            assert [listener.catch_ups for listener in listeners] == [1, 1]
            await asyncio.sleep(65)
            assert [listener.catch_ups for listener in listeners] == [3, 3]

    run(scenario())
