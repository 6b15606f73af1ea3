"""When matches are formed, placed, handed to the allocator and counted. On virtual time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.typing import EventDict

from match_server.actors.allocator import Provision
from match_server.actors.matchmaker import TICK
from match_server.events.node import MatchesFormed, MatchLoaded
from match_server.matching.modes import GameMode
from match_server.store.journey import Matched, Readied, Step, StepResult
from tests.unit.matchmaker_bench import (
    MODE,
    bench,
    catch_up,
    enqueue,
    hold,
    leave,
    order,
    ready,
    reassert,
    resume,
)
from tests.unit.virtual_time import run, until_quiet

RANKED = GameMode("ranked", 2, rules=())

# --- forming ---


@pytest.mark.parametrize("make", [enqueue, resume, leave, reassert])
def test_whatever_may_have_filled_a_match_has_one_formed_at_once(make: Callable[[], Any]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.ask(make())
            assert [step.match for step in b.store.steps] == [True]

    run(scenario())


@pytest.mark.parametrize("make", [ready, hold, catch_up])
def test_what_cannot_have_filled_a_match_leaves_it_to_the_tick(make: Callable[[], Any]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.ask(make())
            assert [step.match for step in b.store.steps] == [False]

    run(scenario())


def test_a_mode_with_rules_is_not_drawn_and_places_ready_matches_at_each_tick() -> None:
    async def scenario() -> None:
        async with bench(game_mode=RANKED) as b:
            await b.ask(enqueue())
            await b.tick()
            assert [(step.match, step.place) for step in b.store.steps] == [(0, False), (0, True)]

    run(scenario())


def test_in_a_mode_with_rules_a_ready_match_without_a_slot_is_placed_at_the_next_ticks() -> None:
    async def scenario() -> None:
        def placed(_step: Step, result: StepResult) -> None:
            result.placed = [order()]

        def no_slot(_step: Step, result: StepResult) -> None:
            result.readies = [Readied("ok", None, 7)]

        async with bench(game_mode=RANKED) as b:
            b.store.says = [no_slot, placed]
            await b.ask(ready())
            await b.tick()
            assert [step.place for step in b.store.steps] == [False, True]
            assert b.orders == [order()]

    run(scenario())


def test_without_match_on_enqueue_only_the_tick_forms_matches() -> None:
    async def scenario() -> None:
        async with bench(match_on_enqueue=False) as b:
            await b.ask(enqueue())
            assert [step.match for step in b.store.steps] == [False]
            await b.tick()
            assert [step.match for step in b.store.steps] == [False, True]

    run(scenario())


def test_while_more_matches_could_be_formed_it_calls_again_at_once() -> None:
    def more(step: Step, result: StepResult) -> None:
        result.matched = Matched(formed=125, more=True, waits_us=(1,) * 250)

    def last(step: Step, result: StepResult) -> None:
        result.matched = Matched(formed=7, waits_us=(1,) * 14)

    async def scenario() -> None:
        async with bench() as b:
            b.store.says = [more, more, last]
            await b.ask(enqueue())
            await until_quiet()
            assert [step.match for step in b.store.steps] == [1, 8, 8], "several calls in one round trip"
            assert [formed.count for formed in b.events.of(MatchesFormed)] == [125, 125, 7]
            b.ref.tell(TICK)
            await until_quiet()
            assert b.store.steps[-1].match == 1

    run(scenario())


def test_a_step_that_formed_nothing_is_not_recorded() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.ask(enqueue())
            assert b.events.recorded == []

    run(scenario())


# --- placing ---


def test_matches_that_wait_for_a_slot_are_placed_by_the_tick_and_only_while_there_are_any() -> None:
    def unplaced(count: int) -> Callable[[Step, StepResult], None]:
        def say(step: Step, result: StepResult) -> None:
            result.matched = Matched(unplaced=count)
            if step.place:
                result.placed = [order()]

        return say

    async def scenario() -> None:
        async with bench() as b:
            b.store.says = [unplaced(0), unplaced(2), unplaced(0), unplaced(0)]
            for _ in range(4):
                b.ref.tell(TICK)
                await until_quiet()
            assert [step.place for step in b.store.steps] == [False, False, True, False]
            assert b.orders == [order()]

    run(scenario())


def test_a_match_that_got_ready_without_a_slot_is_placed_by_the_next_tick() -> None:
    def no_slot(step: Step, result: StepResult) -> None:
        result.readies = [Readied("ok", None, 1500)]

    async def scenario() -> None:
        async with bench() as b:
            b.store.says = [no_slot]
            await b.ask(ready())
            b.ref.tell(TICK)
            await until_quiet()
            assert [step.place for step in b.store.steps] == [False, True]
            assert b.events.recorded == [MatchLoaded(MODE.name, 1.5)]

    run(scenario())


def test_the_order_of_a_match_that_is_ready_goes_to_the_allocator() -> None:
    def all_ready(step: Step, result: StepResult) -> None:
        result.readies = [Readied("ok", None, None), Readied("ok", order("L2"), 250)]

    async def scenario() -> None:
        async with bench() as b:
            b.store.says = [all_ready]
            answers = await asyncio.gather(b.ask(ready("ann")), b.ask(ready("bob")))
            await until_quiet()
            assert [answer.code for answer in answers] == ["ok", "ok"]
            assert b.orders == [order("L2")]
            assert b.events.recorded == [MatchLoaded(MODE.name, 0.25)]

    run(scenario())


def test_a_full_allocator_leaves_the_order_to_its_lease_and_the_player_is_answered(logs: list[EventDict]) -> None:
    def all_ready(step: Step, result: StepResult) -> None:
        result.readies = [Readied("ok", order(item.player_id), 1) for item in step.readies]

    async def scenario() -> None:
        async with bench() as b:
            b.allocator_works.clear()
            b.allocator.tell(Provision(order("the one it works on")))
            await until_quiet()
            b.store.says = [all_ready]
            answers = await asyncio.gather(*(b.ask(ready(name)) for name in ("L1", "L2", "L3", "L4")))
            assert [answer.code for answer in answers] == ["ok"] * 4
            left = [line["loading_session_id"] for line in logs if line["event"] == "allocation_left_to_its_lease"]
            assert left == ["L3", "L4"]
            b.allocator_works.set()
            await until_quiet()
            assert [order.loading_session_id for order in b.orders[1:]] == ["L1", "L2"]

    run(scenario())
