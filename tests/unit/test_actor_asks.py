"""An ask always ends: with its answer, an error, or a timeout."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Sequence

import pytest

from match_server.actors.core import Actor, ActorSystem, Ref, Supervision
from match_server.errors import ActorCrashed, ActorStopped, AskTimeout
from tests.unit.actor_probe import FOREVER, Ask, Diary, Message, Poison, Probe, spawn
from tests.unit.virtual_time import run, until_quiet


async def answer_nothing(probe: Probe, batch: Sequence[Message]) -> None:
    """Answer nothing, ever."""
    await asyncio.Event().wait()


def test_an_ask_is_answered() -> None:
    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary())
            answers = await asyncio.gather(*(ref.ask(Ask(word), FOREVER) for word in "abc"))
            assert answers == ["A", "B", "C"]
            await system.stop(FOREVER)

    run(scenario())


def test_an_ask_ends_with_the_error_that_the_receiver_gave() -> None:
    async def refuse(probe: Probe, batch: Sequence[Message]) -> None:
        for message in batch:
            assert isinstance(message, Ask)
            message.fail(Poison("no"))

    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), handler=refuse)
            with pytest.raises(Poison, match="no"):
                await ref.ask(Ask("a"), FOREVER)
            await system.stop(FOREVER)

    run(scenario())


def test_a_request_may_fail_although_nobody_asked() -> None:
    async def scenario() -> None:
        request = Ask("a")
        answer = request.expect(asyncio.get_running_loop(), 1)
        request.fail(Poison())
        assert not request.open
        with pytest.raises(Poison):
            await answer
        request.answer("late")  # nothing happens, and no "exception was never retrieved" is logged

    run(scenario())


def test_only_the_first_answer_counts() -> None:
    async def scenario() -> None:
        request = Ask("a")
        answer = request.expect(asyncio.get_running_loop(), 1)
        request.answer("first")
        request.answer("second")
        request.fail(Poison())
        assert await answer == "first"

    run(scenario())


def test_an_ask_without_an_answer_times_out_and_its_request_is_closed() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), handler=answer_nothing)
            request = Ask("a")
            with pytest.raises(AskTimeout, match=r"2\.5 s"):
                await ref.ask(request, 2.5)
            assert loop.time() == pytest.approx(2.5)
            assert not request.open
            request.answer("late")
            assert not await system.stop(0.1)

    run(scenario())


def test_a_cancelled_asker_is_cancelled_and_its_request_is_closed() -> None:
    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), handler=answer_nothing)
            request = Ask("a")
            asker = asyncio.ensure_future(ref.ask(request, FOREVER))
            await until_quiet()
            asker.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asker
            assert not request.open
            await system.stop(0.1)

    run(scenario())


def test_asks_that_wait_in_the_mailbox_of_an_actor_that_ends_fail_with_actor_stopped() -> None:
    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), handler=answer_nothing)
            asks = [asyncio.ensure_future(ref.ask(Ask("in the batch"), FOREVER))]
            await until_quiet()
            asks.append(asyncio.ensure_future(ref.ask(Ask("in the mailbox"), FOREVER)))
            await until_quiet()
            assert not await system.stop(1)
            outcomes = await asyncio.gather(*asks, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [ActorStopped, ActorStopped]

    run(scenario())


def test_asks_of_a_crashed_batch_fail_with_actor_crashed_but_for_those_answered_before() -> None:
    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), supervision=Supervision())
            asks = [asyncio.ensure_future(ref.ask(Ask(word), FOREVER)) for word in ("a", "poison", "b")]
            outcomes = await asyncio.gather(*asks, return_exceptions=True)
            assert outcomes[0] == "A"
            assert [type(outcome) for outcome in outcomes[1:]] == [ActorCrashed, ActorCrashed]
            await system.stop(FOREVER)

    run(scenario())


def test_an_actor_that_has_ended_takes_nothing_more() -> None:
    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary())
            ref.stop()
            with pytest.raises(ActorStopped, match="probe"):
                ref.tell("a")
            await ref.ended()
            with pytest.raises(ActorStopped):
                await ref.ask(Ask("b"), FOREVER)

    run(scenario())


class Deaf(Actor[Message]):
    """Answers nothing."""

    async def receive(self, batch: Sequence[Message]) -> None:
        del batch


def test_an_ask_that_timed_out_keeps_nothing_of_its_caller() -> None:
    class Caller:
        """What a caller holds in its frame."""

    async def ask(ref: Ref[Message], held: list["weakref.ref[Caller]"]) -> None:
        caller = Caller()
        held.append(weakref.ref(caller))
        with contextlib.suppress(AskTimeout):
            await ref.ask(Ask("anybody?"), 1)

    async def scenario() -> None:
        held: list[weakref.ref[Caller]] = []
        async with ActorSystem() as system:
            ref: Ref[Message] = system.spawn("deaf", Deaf, mailbox_limit=9, phase=0)
            await asyncio.create_task(ask(ref, held))
            ref.tell("the last batch is forgotten")
            await until_quiet()
            assert held[0]() is None, "no circle is left for the garbage collector"
            await system.stop(1)

    gc.disable()
    try:
        run(scenario())
    finally:
        gc.enable()
