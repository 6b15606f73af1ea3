"""What an actor runs beside its batches ends with it, and its failure is the actor's."""

import asyncio
import inspect
from collections.abc import Sequence

from match_server.actors.core import Actor, ActorSystem, Supervision
from tests.unit.actor_probe import FOREVER, Ask, Diary, Message, Poison, Probe, spawn, text_of
from tests.unit.virtual_time import run, until_quiet


def test_the_failure_of_background_work_is_the_actors() -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise Poison

    async def start_failing(probe: Probe, batch: Sequence[Message]) -> None:
        for message in batch:
            if text_of(message) == "fail":
                probe.background(fail())
            elif isinstance(message, Ask):
                message.answer("fine")

    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, handler=start_failing, supervision=Supervision())
            ref.tell("fail")
            await asyncio.sleep(5)
            assert len(diary.crashed) == 1
            assert len(diary.instances) == 2
            assert await ref.ask(Ask("a"), FOREVER) == "fine"
            await system.stop(FOREVER)

    run(scenario())


def test_a_background_failure_beside_a_crash_does_not_take_the_fresh_instance_down_too() -> None:
    async def crash_twice_at_once(probe: Probe, batch: Sequence[Message]) -> None:
        async def fail() -> None:
            raise Poison("in the background")

        if "poison" in map(text_of, batch):
            probe.background(fail())
            await asyncio.sleep(1)
            raise Poison("in the foreground")

    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, handler=crash_twice_at_once, supervision=Supervision())
            ref.tell("poison")
            await asyncio.sleep(10)
            await system.stop(FOREVER)
        assert len(diary.crashed) == 1

    run(scenario())


def test_background_work_ends_with_its_instance() -> None:
    ended: list[str] = []

    async def work(how: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(how)

    async def start_working(probe: Probe, batch: Sequence[Message]) -> None:
        for message in batch:
            if text_of(message) == "poison":
                raise Poison
            probe.background(work(text_of(message)))

    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, handler=start_working, supervision=Supervision())
            ref.tell("first instance")
            await until_quiet()
            ref.tell("poison")
            await asyncio.sleep(10)
            assert ended == ["first instance"]
            ref.tell("second instance")
            await until_quiet()
            ref.stop()
            await ref.ended()
            await until_quiet()
            assert ended == ["first instance", "second instance"]

    run(scenario())


def test_background_work_whose_instance_ends_before_it_began_is_closed() -> None:
    """Else "coroutine ... was never awaited" stands in the log, of an orderly stop for instance."""

    async def work() -> None:
        await asyncio.Event().wait()

    coroutine = work()

    async def begin_and_crash(probe: Probe, batch: Sequence[Message]) -> None:
        probe.background(coroutine)
        raise Poison

    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), handler=begin_and_crash)
            ref.tell("a")
            await ref.ended()

    run(scenario())
    state = inspect.getcoroutinestate(coroutine)
    coroutine.close()
    assert state == inspect.CORO_CLOSED


def test_every_leaves_a_message_again_and_again_and_leaves_out_those_that_find_the_mailbox_full() -> None:
    class Ticking(Probe):
        async def started(self) -> None:
            await super().started()
            self.every(10, lambda: "tick")

    gate = asyncio.Event()

    async def slow(probe: Probe, batch: Sequence[Message]) -> None:
        if len(probe.diary.batches) > 3:
            await gate.wait()

    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, kind=Ticking, handler=slow, mailbox_limit=2)
            await asyncio.sleep(35)
            assert diary.batches == [["tick"]] * 3
            await asyncio.sleep(100)  # the fourth is stuck: two more wait, the others are left out
            assert ref.depth == 2
            gate.set()
            await until_quiet()
            assert diary.batches[3:] == [["tick"], ["tick", "tick"]]
            assert diary.crashed == []
            await system.stop(FOREVER)
            told = len(diary.seen)
            await asyncio.sleep(100)
            assert len(diary.seen) == told

    run(scenario())


class Untidy(Actor[Message]):
    """Its first instance leaves a task behind whose clean-up fails."""

    def __init__(self, begun: list["Untidy"]) -> None:
        self._begun = begun

    async def started(self) -> None:
        self._begun.append(self)
        if len(self._begun) == 1:
            self.background(self._work())

    async def _work(self) -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            raise OSError("closing the link failed")

    async def receive(self, batch: Sequence[Message]) -> None:
        if "poison" in batch:
            await asyncio.sleep(0)  # the task has begun to wait
            raise Poison


def test_a_crashed_instance_whose_task_fails_at_its_end_takes_no_second_one_along() -> None:
    async def scenario() -> None:
        begun: list[Untidy] = []
        async with ActorSystem() as system:
            ref = system.spawn("untidy", lambda: Untidy(begun), mailbox_limit=9, phase=0, supervision=Supervision())
            await until_quiet()
            ref.tell("poison")
            await asyncio.sleep(10)
            assert len(begun) == 2
            await system.stop(1)

    run(scenario())
