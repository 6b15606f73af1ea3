"""A subscriber whose link breaks, falls silent or is refused, and one that crashes. On virtual time."""

import asyncio
from collections.abc import Iterable

import pytest
from structlog.typing import EventDict

from match_server.actors.subscriber import Subscribe
from match_server.errors import AskTimeout
from tests.unit.subscriber_world import NODE_CHANNEL, FakeLink, Listening, World, channel, world
from tests.unit.virtual_time import run, until_quiet

# --- the link ---


def test_a_broken_link_is_made_anew_with_everything_and_every_listener_catches_up(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with world() as w:
            listeners = [await w.subscribed(name) for name in "abc"]
            w.wire.comes(ConnectionResetError("cut"))
            await asyncio.sleep(0.5)
            assert (w.opened, w.closed) == (2, 1)
            assert w.commands == [("SUBSCRIBE", [NODE_CHANNEL, *map(channel, "abc")])]
            assert [listener.catch_ups for listener in listeners] == [1, 1, 1]
            assert w.subscriptions.confirmed
        assert [line["event"] for line in logs] == ["pubsub_link_broken"]

    run(scenario())


def test_while_redis_is_away_the_link_is_tried_again_and_the_log_says_it_once(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with world() as w:
            w.refuses = True
            w.wire.comes(ConnectionResetError("cut"))
            await asyncio.sleep(5)
            assert w.opened > 10
            assert [w.subscriptions.confirmed] == [False]
            asked = w.ask("ann", Listening("c"))
            await asyncio.sleep(1)
            assert not asked.done()
            w.refuses = False
            await asyncio.sleep(1)
            assert asked.done()
            assert w.subscriptions.confirmed
        assert [line["event"] for line in logs].count("pubsub_link_broken") == 1

    run(scenario())


def test_a_listener_whose_ask_is_answered_by_a_renewed_link_need_not_catch_up() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.refuses = True
            w.wire.comes(ConnectionResetError("cut"))
            await until_quiet()
            listener = Listening("c")
            asked = w.ask("ann", listener)
            w.refuses = False
            await asyncio.sleep(1)
            assert asked.done()
            assert listener.catch_ups == 0

    run(scenario())


def test_an_ask_that_the_subscriber_never_answers_does_not_outlive_its_listener() -> None:
    """Asks that timed out while Redis was away must not gather."""

    async def scenario() -> None:
        async with world() as w:
            w.refuses = True
            w.wire.comes(ConnectionResetError("cut"))
            await until_quiet()
            requests = []
            for number in range(20):
                listener = Listening("c")
                requests.append(Subscribe(f"player-{number}", listener))
                with pytest.raises(AskTimeout):
                    await w.ref.ask(requests[-1], 1)
                w.tell_unsubscribe(f"player-{number}", listener)
            w.refuses = False
            await asyncio.sleep(1)
            assert w.instances[-1]._waiting == {}

    run(scenario())


def test_a_link_that_breaks_on_a_command_is_made_anew() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.subscribed("ann")
            wire, commands = w.wire, w.commands

            async def broken(channels: Iterable[str]) -> None:
                raise BrokenPipeError

            wire.subscribe = broken  # type: ignore[method-assign]  # this link alone
            asked = w.ask("bob", Listening("c"))
            await until_quiet()
            assert (asked.done(), w.closed) == (False, 1)
            del wire.subscribe
            await asyncio.sleep(1)
            assert asked.done()
            assert commands[-1] == ("SUBSCRIBE", [NODE_CHANNEL, channel("ann"), channel("bob")])

    run(scenario())


def test_a_link_that_goes_silent_is_closed_after_missed_heartbeats_and_made_anew(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = await w.subscribed("ann")
            await asyncio.sleep(20)
            assert (w.opened, w.closed) == (1, 0)
            w.deaf = True
            await asyncio.sleep(2)
            assert w.closed == 0
            await asyncio.sleep(2.5)
            assert w.closed == 1
            w.deaf = False
            await asyncio.sleep(1)
            assert (w.opened, w.closed) == (2, 1)
            caught_up = listener.catch_ups
            assert caught_up >= 1
            await asyncio.sleep(20)
            assert listener.catch_ups <= caught_up + 1, "the link works: the check each half minute is enough"
        assert "pubsub_link_silent" in [line["event"] for line in logs]

    run(scenario())


def test_while_no_link_brings_a_heartbeat_back_every_listener_catches_up_each_second() -> None:
    """A firewall, say: every new link is confirmed, and silent again."""

    async def scenario() -> None:
        async with world() as w:
            listeners = [await w.subscribed(name) for name in "abc"]
            w.deaf = True
            await asyncio.sleep(5)
            before = [listener.catch_ups for listener in listeners]
            await asyncio.sleep(20)
            assert w.opened > 3
            assert w.subscriptions.lag_seconds is None
            assert all(listener.catch_ups >= seen + 20 for listener, seen in zip(listeners, before, strict=True))

    run(scenario())


def test_a_link_that_is_never_confirmed_has_every_listener_catch_up_each_second() -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = await w.subscribed("ann")
            w.confirms, w.deaf = False, True
            await asyncio.sleep(25)
            assert listener.catch_ups >= 20

    run(scenario())


def test_a_silence_while_redis_itself_is_away_is_not_the_links_fault() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.redis_away = True
            await asyncio.sleep(20)
            assert w.closed == 0
            w.redis_away = False
            await asyncio.sleep(20)
            assert w.closed == 0

    run(scenario())


def test_the_heartbeat_measures_how_long_it_took() -> None:
    async def scenario() -> None:
        async with world() as w:
            now = asyncio.get_running_loop().time()
            w.wire.message(NODE_CHANNEL, f"beat {now - 0.25}")
            await until_quiet()
            assert w.subscriptions.lag_seconds == pytest.approx(0.25, abs=1e-3)

    run(scenario())


def test_stopping_closes_the_link() -> None:
    async def scenario() -> None:
        async with world() as w:
            wire = w.wire
        assert not wire.is_open
        assert w.opened == 1

    run(scenario())


# --- a bug ---


async def crash(w: World) -> FakeLink:
    """Have the subscriber meet a bug; returns the link that it had."""
    old = w.wire
    old.message(NODE_CHANNEL, "taken_over")  # by whom? stands for any bug
    await asyncio.sleep(1)
    assert w.opened == 2
    return old


def test_a_fresh_instance_starts_from_the_subscriptions_of_the_crashed_one() -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = await w.subscribed("ann")
            await crash(w)
            assert w.commands == [("SUBSCRIBE", [NODE_CHANNEL, channel("ann")])]
            assert listener.catch_ups == 1
            w.wire.message(channel("ann"), "frame")
            await until_quiet()
            assert listener.frames == [("ann", b"frame")]

    run(scenario())


def test_a_crashed_instance_does_not_leave_its_link_open() -> None:
    async def scenario() -> None:
        async with world() as w:
            old = await crash(w)
            assert not old.is_open

    run(scenario())
