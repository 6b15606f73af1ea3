"""What follows a crash: a fresh instance, the end of this actor alone, or of the whole system."""

import asyncio

import pytest
from structlog.typing import EventDict

from match_server.actors.core import ActorSystem, Supervision
from match_server.errors import ActorCrashed, ActorStopped
from tests.unit.actor_probe import FOREVER, Ask, Diary, Poison, Probe, SmallBatches, spawn
from tests.unit.virtual_time import run, until_quiet


def test_a_crashed_actor_is_replaced_by_a_fresh_instance_at_the_same_address() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, supervision=Supervision())
            ref.tell("poison")
            await until_quiet()
            assert len(diary.crashed) == 1
            assert await ref.ask(Ask("a"), FOREVER) == "A"
            first, second = diary.instances
            assert first is not second
            await system.stop(FOREVER)

    run(scenario())


def test_waiting_messages_survive_a_crash_and_the_poisonous_batch_is_not_retried() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, kind=SmallBatches, supervision=Supervision())
            for word in ("a", "poison", "b", "c", "d"):
                ref.tell(word)
            assert await ref.ask(Ask("e"), FOREVER) == "E"
            assert diary.batches == [["a", "poison", "b"], ["c", "d", "e"]]
            await system.stop(FOREVER)

    run(scenario())


def test_messages_told_during_the_backoff_wait_for_the_fresh_instance() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, supervision=Supervision(first_backoff_seconds=4))
            ref.tell("poison")
            await until_quiet()
            assert await ref.ask(Ask("a"), FOREVER) == "A"
            assert diary.started == pytest.approx([0, 4], abs=0.01)
            await system.stop(FOREVER)

    run(scenario())


def test_the_backoff_grows_up_to_its_limit() -> None:
    async def scenario() -> None:
        diary = Diary()
        supervision = Supervision(crashes=6, window_seconds=60, first_backoff_seconds=1, max_backoff_seconds=5)
        async with ActorSystem() as system:
            ref = spawn(system, diary, kind=SmallBatches, supervision=supervision)
            for word in ["poison"] * 15:
                ref.tell(word)
            assert await ref.ask(Ask("a"), FOREVER) == "A"
            assert diary.started == pytest.approx([0, 1, 3, 7, 12, 17], abs=0.01)
            await system.stop(FOREVER)

    run(scenario())


def test_one_crash_too_many_escalates_out_of_the_system() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, supervision=Supervision(crashes=2))
            bystander = spawn(system, Diary(), name="bystander")
            for _ in range(3):
                ref.tell("poison")
                await asyncio.sleep(1)
            assert len(diary.crashed) == 3
            await bystander.ended()

    with pytest.RaisesGroup(Poison):
        run(scenario())


def test_crashes_of_long_ago_are_forgiven() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, supervision=Supervision(crashes=2, window_seconds=60))
            for _ in range(10):
                ref.tell("poison")
                await asyncio.sleep(31)
            assert await ref.ask(Ask("a"), FOREVER) == "A"
            assert len(diary.crashed) == 10
            await system.stop(FOREVER)

    run(scenario())


def test_a_crash_while_starting_is_a_crash_too() -> None:
    class Reluctant(Probe):
        async def started(self) -> None:
            await super().started()
            if len(self.diary.started) == 1:
                raise Poison

    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, kind=Reluctant, supervision=Supervision())
            assert await ref.ask(Ask("a"), FOREVER) == "A"
            assert len(diary.crashed) == 1
            await system.stop(FOREVER)

    run(scenario())


def test_an_unsupervised_actor_that_crashes_has_a_last_word_and_ends_alone(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        diary, other = Diary(), Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary)
            bystander = spawn(system, other, name="bystander")
            ask = asyncio.ensure_future(ref.ask(Ask("poison"), FOREVER))
            await ref.ended()
            with pytest.raises(ActorCrashed):
                await ask
            with pytest.raises(ActorStopped):
                ref.tell("a")
            (line,) = [line for line in logs if line["event"] == "actor_crashed"]
            assert diary.crashed == [line["error_id"]]
            assert isinstance(line["exc_info"], Poison)
            assert diary.stopped == []
            assert await bystander.ask(Ask("a"), FOREVER) == "A"
            await system.stop(FOREVER)

    run(scenario())


def test_an_actor_whose_last_word_fails_too_still_ends_alone() -> None:
    class Speechless(Probe):
        def crashed(self, error_id: str) -> None:
            raise Poison("its last word failed")

    async def scenario() -> None:
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), kind=Speechless)
            bystander = spawn(system, Diary(), name="bystander")
            ref.tell("poison")
            await ref.ended()
            assert await bystander.ask(Ask("a"), FOREVER) == "A"
            await system.stop(FOREVER)

    run(scenario())
