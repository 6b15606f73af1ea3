"""Asking for a player's channel and letting it go: the commands, and when an ask is answered. On virtual time."""

import asyncio

from match_server.actors.subscriber import Subscribe
from tests.unit.subscriber_world import Listening, channel, world
from tests.unit.virtual_time import run, until_quiet


def test_one_subscribe_command_for_all_that_waits() -> None:
    async def scenario() -> None:
        async with world() as w:
            asks = [w.ask(str(number), Listening("c")) for number in range(200)]
            await until_quiet()
            assert w.commands == [("SUBSCRIBE", [channel(str(number)) for number in range(200)])]
            assert all(ask.done() for ask in asks)

    run(scenario())


def test_one_unsubscribe_command_for_all_that_waits() -> None:
    async def scenario() -> None:
        async with world() as w:
            listeners = {name: await w.subscribed(name) for name in "abc"}
            for name, listener in listeners.items():
                w.tell_unsubscribe(name, listener)
            await until_quiet()
            assert w.commands == [("UNSUBSCRIBE", [channel(name) for name in "abc"])]
            assert w.subscriptions.listeners == {}

    run(scenario())


def test_a_subscribe_is_answered_only_once_redis_has_confirmed_it() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.confirms = False
            one, two = w.ask("one", Listening("1")), w.ask("two", Listening("2"))
            await until_quiet()
            assert not one.done()
            w.wire.confirm(channel("two"))
            await until_quiet()
            assert (one.done(), two.done()) == (False, True)
            w.wire.confirm(channel("one"))
            await until_quiet()
            assert one.done()

    run(scenario())


def test_a_second_listener_of_a_confirmed_channel_is_answered_at_once_without_a_command() -> None:
    async def scenario() -> None:
        async with world() as w:
            first = await w.subscribed("ann", "1")
            second = await w.subscribed("ann", "2")
            w.wire.message(channel("ann"), "frame")
            await until_quiet()
            assert first.frames == second.frames == [("ann", b"frame")]
            w.tell_unsubscribe("ann", first)
            await until_quiet()
            assert w.commands == []
            w.tell_unsubscribe("ann", second)
            await until_quiet()
            assert w.commands == [("UNSUBSCRIBE", [channel("ann")])]

    run(scenario())


def test_a_second_listener_of_a_channel_not_confirmed_yet_waits_for_the_confirmation_too() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.confirms = False
            first = w.ask("ann", Listening("1"))
            await until_quiet()
            second = w.ask("ann", Listening("2"))
            await until_quiet()
            assert (first.done(), second.done()) == (False, False)
            w.wire.confirm(channel("ann"))
            await until_quiet()
            assert (first.done(), second.done()) == (True, True)
            assert len(w.commands) == 1

    run(scenario())


def test_a_channel_let_go_and_asked_for_again_is_confirmed_by_the_last_confirmation_alone() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.confirms = False
            first = Listening("1")
            gone = w.ask("ann", first)
            await until_quiet()
            w.tell_unsubscribe("ann", first)
            await until_quiet()
            asked = w.ask("ann", Listening("2"))
            await until_quiet()
            assert [command for command, _ in w.commands] == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]
            w.wire.confirm(channel("ann"))
            w.wire.confirm(channel("ann"), kind="unsubscribe")
            await until_quiet()
            assert not asked.done()
            w.wire.confirm(channel("ann"))
            await until_quiet()
            assert asked.done()
            assert gone.done()

    run(scenario())


def test_a_channel_let_go_and_asked_for_again_in_one_batch_stays_and_is_answered() -> None:
    """A client whose old connection ends just as its new one enqueues."""

    async def scenario() -> None:
        async with world() as w:
            old = await w.subscribed("ann", "old")
            new = Listening("new")
            w.tell_unsubscribe("ann", old)
            answer = w.ask("ann", new)
            await asyncio.sleep(5)
            assert answer.done()
            w.wire.message(channel("ann"), "frame")
            await until_quiet()
            assert new.frames == [("ann", b"frame")]
            assert old.frames == []

    run(scenario())


def test_a_channel_asked_for_and_let_go_in_one_batch_costs_no_command_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = Listening("c")
            request = Subscribe("ann", listener)
            w.ref.tell(request)
            w.tell_unsubscribe("ann", listener)
            await until_quiet()
            assert w.commands == []
            assert w.subscriptions.listeners == {}
            request.answer(None)

    run(scenario())


def test_letting_go_of_what_was_never_asked_for_changes_nothing() -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = await w.subscribed("ann")
            w.tell_unsubscribe("ann", Listening("stranger"))
            w.tell_unsubscribe("bob", listener)
            await until_quiet()
            assert w.commands == []
            assert w.subscriptions.listeners == {"ann": [listener]}

    run(scenario())
