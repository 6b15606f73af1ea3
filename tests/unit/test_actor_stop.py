"""The end of an actor system: phase by phase, within its deadline, and nobody is forgotten."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.typing import EventDict

from match_server.actors.core import ActorSystem, Supervision
from tests.unit.actor_probe import FOREVER, Ask, Diary, Message, Probe, SmallBatches, spawn
from tests.unit.virtual_time import run, until_quiet


def test_stop_ends_the_phases_one_after_the_other_lowest_first() -> None:
    ends: list[tuple[str, float]] = []

    class Slow(Probe):
        async def stopped(self) -> None:
            await asyncio.sleep(2)
            ends.append((self.ref.name, round(asyncio.get_running_loop().time())))

    async def scenario() -> None:
        async with ActorSystem() as system:
            for name, phase in (("last", 7), ("first", 0), ("middle", 3), ("first too", 0)):
                spawn(system, Diary(), kind=Slow, name=name, phase=phase)
            await until_quiet()
            assert await system.stop(10)
        assert sorted(ends, key=lambda end: (end[1], end[0])) == [
            ("first", 2),
            ("first too", 2),
            ("middle", 4),
            ("last", 6),
        ]

    run(scenario())


def test_a_higher_phase_still_serves_while_a_lower_one_ends() -> None:
    async def scenario() -> None:
        server, client = Diary(), Diary()
        answers: list[str] = []
        async with ActorSystem() as system:
            below = spawn(system, server, name="below", phase=1)

            async def ask_below(probe: Probe, batch: Sequence[Message]) -> None:
                await asyncio.sleep(1)
                answers.append(await below.ask(Ask("goodbye"), FOREVER))

            above = spawn(system, client, name="above", phase=0, handler=ask_below)
            above.tell("a")
            assert await system.stop(10)
        assert answers == ["GOODBYE"]

    run(scenario())


def test_an_actor_handles_what_waits_before_it_stops() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, kind=SmallBatches)
            for word in "abcdefg":
                ref.tell(word)
            assert await system.stop(1)
        assert diary.seen == list("abcdefg")
        assert len(diary.stopped) == 1

    run(scenario())


def test_the_deadline_is_shared_and_whoever_is_late_is_cancelled(logs: list[EventDict]) -> None:
    cancelled: list[str] = []

    class Slow(Probe):
        async def stopped(self) -> None:
            try:
                await asyncio.sleep(4)
            except asyncio.CancelledError:
                cancelled.append(self.ref.name)
                raise

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with ActorSystem() as system:
            for phase in range(3):
                spawn(system, Diary(), kind=Slow, name=f"phase {phase}", phase=phase)
            await until_quiet()
            assert not await system.stop(10)
            assert loop.time() == pytest.approx(10, abs=0.01)
        assert cancelled == ["phase 2"]
        (line,) = [line for line in logs if line["event"] == "actors_stopped_late"]
        assert (line["actors"], line["count"]) == (["phase 2"], 1)

    run(scenario())


def test_stop_during_a_backoff_lets_the_fresh_instance_handle_what_waits() -> None:
    async def scenario() -> None:
        diary = Diary()
        async with ActorSystem() as system:
            ref = spawn(system, diary, supervision=Supervision(first_backoff_seconds=3))
            ref.tell("poison")
            await until_quiet()
            ref.tell("a")
            assert await system.stop(10)
        assert diary.seen == ["poison", "a"]

    run(scenario())


def test_cancelling_whoever_runs_the_system_ends_every_actor_and_is_not_swallowed() -> None:
    async def scenario() -> None:
        ended: list[str] = []

        async def work(probe: Probe, batch: Sequence[Message]) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(probe.ref.name)

        async def serve() -> None:
            async with ActorSystem() as system:
                for name in ("a", "b"):
                    spawn(system, Diary(), name=name, handler=work, supervision=Supervision()).tell("work")
                await asyncio.Event().wait()

        server = asyncio.ensure_future(serve())
        await until_quiet()
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server
        assert sorted(ended) == ["a", "b"]

    run(scenario())


def test_a_task_that_the_system_owns_is_cancelled_by_stop() -> None:
    async def scenario() -> None:
        async with ActorSystem() as system:
            waiting = system.own(forever(), name="own")
            assert await system.stop(1)
            with pytest.raises(asyncio.CancelledError):
                await waiting

    async def forever() -> None:
        await asyncio.Event().wait()

    run(scenario())
