"""Requests gather into steps, and each gets its own answer or failure. On virtual time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.typing import EventDict

from match_server.actors.matchmaker import InternalError
from match_server.errors import ActorCrashed, StoreUnavailable
from match_server.store.journey import Answer, Ready, Step, StepResult
from match_server.store.scripts import ItemFailed
from tests.unit.matchmaker_bench import KINDS, MODE, bench, catch_up, enqueue, hold, leave, ready, reassert, resume
from tests.unit.virtual_time import run, until_quiet


def test_all_that_waits_is_one_step_and_each_request_gets_its_own_answer() -> None:
    async def scenario() -> None:
        async with bench() as b:
            makers: list[Callable[[str], Any]] = [enqueue, ready, leave, hold, resume, catch_up, reassert]
            items = [make(f"{make.__name__}-{number}") for number in range(15) for make in makers]
            answers = await asyncio.gather(*(b.ask(item) for item in items))
            (step,) = b.store.steps
            assert b.store.asked == [(MODE.name, MODE.players)]
            for kind, name in KINDS.items():
                assert getattr(step, name) == [item for item in items if isinstance(item, kind)]
            for item, answer in zip(items, answers, strict=True):
                said = () if isinstance(item, Ready) else (KINDS[type(item)], item.player_id)
                assert (answer.code, answer.fields) == ("ok", said)

    run(scenario())


def test_who_waits_goes_ahead_of_the_checks_and_these_come_in_small_parts() -> None:
    async def scenario() -> None:
        async with bench() as b:
            checks = [b.ask(catch_up(f"checked-{number}")) for number in range(900)]
            asked = b.ask(enqueue("ann"))
            await asked
            (step_of_ann,) = (number for number, step in enumerate(b.store.steps) if step.enqueues)
            assert step_of_ann <= 1, "behind one part at most"
            await asyncio.gather(*checks)
            assert max(len(step.catch_ups) for step in b.store.steps) == 32

    run(scenario())


def test_what_comes_during_a_step_is_the_next_one() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.gate.clear()
            asks = [b.ask(enqueue("1"))]
            await until_quiet()
            asks += [b.ask(enqueue(str(number))) for number in range(2, 50)]
            await until_quiet()
            assert len(b.store.steps) == 1
            b.store.gate.set()
            await asyncio.gather(*asks)
            assert [len(step.enqueues) for step in b.store.steps] == [1, 48]

    run(scenario())


def test_a_request_that_nobody_waits_for_any_more_is_left_out() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.gate.clear()
            first = b.ask(enqueue("ann"))
            await until_quiet()
            gone, stays = b.ask(enqueue("gone")), b.ask(enqueue("bob"))
            await until_quiet()
            gone.cancel()
            await until_quiet()
            b.store.gate.set()
            await asyncio.gather(first, stays)
            assert [item.player_id for step in b.store.steps for item in step.enqueues] == ["ann", "bob"]

    run(scenario())


def test_a_batch_of_requests_that_nobody_waits_for_makes_no_round_trip() -> None:
    """An empty one would be an error of the runner, and so a crash."""

    async def scenario() -> None:
        async with bench() as b:
            b.store.gate.clear()
            first = b.ask(enqueue("ann"))
            await until_quiet()
            gone = b.ask(enqueue("gone"))
            await until_quiet()
            gone.cancel()
            await until_quiet()
            b.store.gate.set()
            await first
            await until_quiet()
            assert len(b.store.steps) == 1

    run(scenario())


def test_a_redis_out_of_reach_is_the_answer_to_every_request_and_the_next_step_is_as_good_as_any() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.error = StoreUnavailable("away")
            asks = [b.ask(make()) for make in (enqueue, ready, leave, hold, resume, catch_up, reassert)]
            outcomes: list[Any] = await asyncio.gather(*asks, return_exceptions=True)
            assert outcomes == [b.store.error] * 7
            b.store.error = None
            assert (await b.ask(enqueue())).code == "ok"
            assert len(b.store.steps) == 2

    run(scenario())


def test_a_refusal_of_one_kind_is_the_answer_to_that_kind_alone() -> None:
    full = StoreUnavailable("OOM")

    def out_of_memory(step: Step, result: StepResult) -> None:
        result.enqueues = [full] * len(step.enqueues)

    async def scenario() -> None:
        async with bench() as b:
            b.store.says = [out_of_memory]
            outcomes = await asyncio.gather(b.ask(enqueue()), b.ask(leave()), return_exceptions=True)
            assert list(outcomes) == [full, Answer("ok", ("leaves", "ann"))]

    run(scenario())


def test_an_item_that_fails_alone_is_an_internal_error_whose_id_is_logged(logs: list[EventDict]) -> None:
    def poisonous(step: Step, result: StepResult) -> None:
        result.enqueues[1] = ItemFailed("enqueue: boom")

    async def scenario() -> None:
        async with bench() as b:
            b.store.says = [poisonous]
            asks = [b.ask(enqueue(name)) for name in ("ann", "bob", "carl")]
            outcomes: list[Any] = await asyncio.gather(*asks, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [Answer, InternalError, Answer]
            (line,) = [line for line in logs if line["event"] == "request_failed"]
            assert line["error_id"] == outcomes[1].error_id
            assert line["player_id"] == "bob"
            assert "boom" in line["cause"]

    run(scenario())


def test_a_bug_in_the_store_fails_the_batch_and_the_fresh_instance_goes_on(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            await until_quiet()
            b.store.error = ZeroDivisionError()
            with pytest.raises(ActorCrashed):
                await b.ask(enqueue())
            b.store.error = None
            assert (await b.ask(enqueue())).code == "ok"
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["actor_crashed"]

    run(scenario())
