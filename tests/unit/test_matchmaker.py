"""The matchmaker, between requests that gather and a store that the test plays. On virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.typing import EventDict

from match_server.actors.allocator import AllocatorMessage, Provision
from match_server.actors.core import Actor, ActorSystem, Ref, Supervision
from match_server.actors.matchmaker import TICK, InternalError, JourneyRequest, Matchmaker, MatchmakerMessage
from match_server.config import GameMode
from match_server.errors import ActorCrashed, StoreUnavailable
from match_server.store.journey import (
    Answer,
    CatchUp,
    Enqueue,
    Hold,
    JourneyStore,
    Leave,
    Matched,
    Order,
    Readied,
    Ready,
    Reassert,
    Resume,
    Step,
    StepResult,
)
from match_server.store.scripts import ItemFailed
from tests.unit.virtual_time import run, until_quiet

MODE = GameMode("Normal_1v1", 2)
TICK_SECONDS = 0.1
FOREVER = 1e6
AWAY = StoreUnavailable("away")
KINDS: dict[type, str] = {
    Enqueue: "enqueues",
    Ready: "readies",
    Leave: "leaves",
    Hold: "holds",
    Resume: "resumes",
    CatchUp: "catch_ups",
    Reassert: "reasserts",
}


def enqueue(player_id: str = "ann") -> Enqueue:
    return Enqueue(player_id, "c", "n", 1, "token", 1)


def ready(player_id: str = "ann") -> Ready:
    return Ready(player_id, "c", "L1")


def leave(player_id: str = "ann") -> Leave:
    return Leave(player_id, "c", 2, "requested")


def hold(player_id: str = "ann") -> Hold:
    return Hold(player_id, "c", 1)


def resume(player_id: str = "ann") -> Resume:
    return Resume(player_id, "c", "n", 3, "token", MODE.name, 0, 1)


def catch_up(player_id: str = "ann") -> CatchUp:
    return CatchUp(player_id, "c", "token", 0, 0)


def reassert(player_id: str = "ann") -> Reassert:
    return Reassert(player_id, "c", "n", 4, "token", MODE.name, "0", 0, 0, "queued", "", "epoch")


def order(loading_session_id: str = "L1", *, attempt: int = 1) -> Order:
    return Order(loading_session_id, attempt, MODE.name, "s1", "http://127.0.0.1:1", "s1:1", False, ("ann", "bob"))


class FakeStore(JourneyStore):
    """Answers each item with its player's name, unless the test says what a step answers."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.asked: list[tuple[str, int]] = []
        self.says: list[Callable[[Step, StepResult], None]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def step(self, game_mode: str, size: int, step: Step) -> StepResult:
        self.steps.append(step)
        self.asked.append((game_mode, size))
        await self.gate.wait()
        if self.error:
            raise self.error
        result = StepResult()
        for name in KINDS.values():
            for item in getattr(step, name):
                answer = Readied("ok", None, None) if name == "readies" else Answer("ok", (name, item.player_id))
                getattr(result, name).append(answer)
        if self.says:
            self.says.pop(0)(step, result)
        return result


class FakeAllocator(Actor[AllocatorMessage]):
    def __init__(self, orders: list[Order], stuck: asyncio.Event) -> None:
        self._orders = orders
        self._stuck = stuck

    async def receive(self, batch: Any) -> None:
        for message in batch:
            assert isinstance(message, Provision)
            self._orders.append(message.order)
        await self._stuck.wait()


class Bench:
    def __init__(self, system: ActorSystem, *, match_on_enqueue: bool, tick_seconds: float) -> None:
        self.store = FakeStore()
        self.orders: list[Order] = []
        self.allocator_works = asyncio.Event()
        self.allocator_works.set()
        self.matched: list[Matched] = []
        self.loaded: list[float] = []
        self.cancelled: list[str] = []
        self.allocator: Ref[AllocatorMessage] = system.spawn(
            "allocator", lambda: FakeAllocator(self.orders, self.allocator_works), mailbox_limit=2, phase=1
        )
        self.ref: Ref[MatchmakerMessage] = system.spawn(
            f"matchmaker/{MODE.name}",
            lambda: Matchmaker(
                game_mode=MODE,
                store=self.store,
                allocator=self.allocator,
                tick_seconds=tick_seconds,
                match_on_enqueue=match_on_enqueue,
                observe=self.matched.append,
                observe_loading=self.loaded.append,
                observe_left=lambda: self.cancelled.append("player_left"),
            ),
            mailbox_limit=1000,
            phase=0,
            supervision=Supervision(),
        )

    def ask(self, item: Any) -> "asyncio.Future[Answer]":
        return asyncio.ensure_future(self.ref.ask(JourneyRequest(item), FOREVER))


@asynccontextmanager
async def bench(*, match_on_enqueue: bool = True, tick_seconds: float = FOREVER) -> AsyncIterator[Bench]:
    async with ActorSystem() as system:
        try:
            yield Bench(system, match_on_enqueue=match_on_enqueue, tick_seconds=tick_seconds)
        finally:
            await system.stop(1)


def test_all_that_waits_is_one_step_and_each_request_gets_its_own_answer() -> None:
    async def scenario() -> None:
        async with bench() as b:
            makers: list[Callable[[str], Any]] = [enqueue, ready, leave, hold, resume, catch_up, reassert]
            items = [make(f"{make.__name__}-{number}") for number in range(20) for make in makers]
            answers = await asyncio.gather(*(b.ask(item) for item in items))
            (step,) = b.store.steps
            assert b.store.asked == [(MODE.name, MODE.players)]
            for kind, name in KINDS.items():
                assert getattr(step, name) == [item for item in items if isinstance(item, kind)]
            for item, answer in zip(items, answers, strict=True):
                said = () if isinstance(item, Ready) else (KINDS[type(item)], item.player_id)
                assert (answer.code, answer.fields) == ("ok", said)

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


def test_without_match_on_enqueue_only_the_tick_forms_matches() -> None:
    async def scenario() -> None:
        async with bench(match_on_enqueue=False, tick_seconds=TICK_SECONDS) as b:
            await b.ask(enqueue())
            assert [step.match for step in b.store.steps] == [False]
            await asyncio.sleep(1.5 * TICK_SECONDS)
            assert [step.match for step in b.store.steps] == [False, True]

    run(scenario())


def test_it_ticks_at_its_period() -> None:
    async def scenario() -> None:
        async with bench(tick_seconds=TICK_SECONDS) as b:
            await asyncio.sleep(10.5 * TICK_SECONDS)
            assert [step.match for step in b.store.steps] == [True] * 10

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
            assert [matched.formed for matched in b.matched] == [125, 125, 7]
            b.ref.tell(TICK)
            await until_quiet()
            assert b.store.steps[-1].match == 1

    run(scenario())


def test_a_step_that_formed_nothing_is_not_observed() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.ask(enqueue())
            assert b.matched == []

    run(scenario())


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
            assert b.loaded == [1.5]

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
            assert b.loaded == [0.25]

    run(scenario())


def test_a_match_that_a_leaving_player_cancelled_is_counted_once() -> None:
    def one_of_them_was_loading(step: Step, result: StepResult) -> None:
        result.leaves = [
            Answer("ok"),
            Answer("ok", ("{}", "L1")),
            Answer("ok", ("{}", "")),
            Answer("too_late", ("allocating", "L2")),
            AWAY,
        ]

    async def scenario() -> None:
        async with bench() as b:
            b.store.says = [one_of_them_was_loading]
            await asyncio.gather(*(b.ask(leave(name)) for name in "abcde"), return_exceptions=True)
            assert b.cancelled == ["player_left"]

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
