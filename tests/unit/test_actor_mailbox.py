"""Mailboxes and batches: what waits, in which order it is handled, and when there is no room for more."""

import asyncio
from collections.abc import Sequence

import pytest

from match_server.actors.core import ActorSystem
from match_server.errors import MailboxFull
from tests.unit.actor_probe import FOREVER, Ask, Diary, Message, Probe, SmallBatches, spawn
from tests.unit.virtual_time import run, until_quiet


def test_a_receive_gets_everything_that_waits_in_order_of_arrival() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary)
            words = [str(number) for number in range(200)]
            for word in words:
                ref.tell(word)
            await until_quiet()
            assert diary.batches == [words]
            await system.stop(FOREVER)

    run(scenario())


def test_a_batch_ends_at_the_cap_and_the_rest_follows() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, kind=SmallBatches)
            for word in "abcdefgh":
                ref.tell(word)
            await until_quiet()
            assert diary.batches == [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]]
            await system.stop(FOREVER)

    run(scenario())


def test_what_arrives_while_a_batch_is_handled_is_the_next_batch() -> None:
    async def scenario() -> None:
        diary, gate = Diary(), asyncio.Event()

        async def slow(probe: Probe, batch: Sequence[Message]) -> None:
            await gate.wait()

        async with ActorSystem() as system:
            ref = spawn(system, diary, handler=slow)
            ref.tell("a")
            await until_quiet()
            for word in "bcd":
                ref.tell(word)
            assert ref.depth == 3
            gate.set()
            await until_quiet()
            assert diary.batches == [["a"], ["b", "c", "d"]]
            assert ref.depth == 0
            await system.stop(FOREVER)

    run(scenario())


def test_a_full_mailbox_raises_at_the_sender_and_does_not_take_the_message() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, mailbox_limit=2)
            ref.tell("a")
            ref.tell("b")
            with pytest.raises(MailboxFull, match="probe"):
                ref.tell("c")
            with pytest.raises(MailboxFull):
                await ref.ask(Ask("d"), FOREVER)
            await until_quiet()
            ref.tell("e")
            await until_quiet()
            assert diary.seen == ["a", "b", "e"]
            await system.stop(FOREVER)

    run(scenario())


def test_depths_are_added_up_by_kind_of_actor() -> None:
    async def scenario() -> None:
        async with ActorSystem() as system:
            one = spawn(system, Diary(), name="session/1")
            two = spawn(system, Diary(), name="session/2")
            other = spawn(system, Diary(), name="janitor")
            for ref, count in ((one, 2), (two, 3), (other, 1)):
                for _ in range(count):
                    ref.tell("word")
            assert system.depths() == {"session": 5, "janitor": 1}
            await system.stop(FOREVER)
            assert system.depths() == {}

    run(scenario())
