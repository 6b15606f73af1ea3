"""The actor core: mailboxes, asks, supervision, stop. On virtual time; every scenario must leave no task behind."""

import asyncio
import contextlib
import gc
import inspect
import itertools
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.typing import EventDict

from match_server.actors.core import Actor, ActorSystem, Ref, Request, Supervision
from match_server.errors import ActorCrashed, ActorStopped, AskTimeout, MailboxFull
from tests.unit.virtual_time import run, until_quiet

FOREVER = 1e6


class Poison(Exception):
    """What a test makes an actor crash on."""


class Ask(Request[str]):
    """A request whose answer is its own text, in capitals."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


Message = str | Ask
Handler = Callable[["Probe", Sequence[Message]], Awaitable[None]]


def text_of(message: Message) -> str:
    return message.text if isinstance(message, Ask) else message


@dataclass
class Diary:
    """What the instances of an actor lived through."""

    instances: list["Probe"] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)

    @property
    def seen(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


class Probe(Actor[Message]):
    """Keeps a diary, answers asks, crashes on the word `poison`."""

    def __init__(self, diary: Diary, handler: Handler | None = None) -> None:
        self.diary = diary
        self.handler = handler

    async def started(self) -> None:
        self.diary.instances.append(self)
        self.diary.started.append(asyncio.get_running_loop().time())

    async def receive(self, batch: Sequence[Message]) -> None:
        self.diary.batches.append([text_of(message) for message in batch])
        if self.handler:
            await self.handler(self, batch)
            return
        for message in batch:
            if text_of(message) == "poison":
                raise Poison
            if isinstance(message, Ask):
                message.answer(message.text.upper())

    async def stopped(self) -> None:
        self.diary.stopped.append(asyncio.get_running_loop().time())

    def crashed(self, error_id: str) -> None:
        self.diary.crashed.append(error_id)


class SmallBatches(Probe):
    batch_limit = 3


async def busy_until_asked(probe: Probe, batch: Sequence[Message]) -> None:
    """Answer nothing, ever."""
    await asyncio.Event().wait()


def spawn(
    system: ActorSystem,
    diary: Diary,
    *,
    handler: Handler | None = None,
    kind: type[Probe] = Probe,
    name: str = "probe",
    mailbox_limit: int = 1000,
    phase: int = 0,
    supervision: Supervision | None = None,
) -> Ref[Message]:
    return system.spawn(
        name, lambda: kind(diary, handler), mailbox_limit=mailbox_limit, phase=phase, supervision=supervision
    )


# --- mailbox and batches ---


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


# --- asks ---


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
        request.fail(Poison())
        assert not request.open
        request.answer("late")  # nothing happens, and no "exception was never retrieved" is logged

    run(scenario())


def test_only_the_first_answer_counts() -> None:
    async def scenario() -> None:
        request = Ask("a")
        request.answer("first")
        request.answer("second")
        request.fail(Poison())
        assert await request.result(1) == "first"

    run(scenario())


def test_an_ask_without_an_answer_times_out_and_its_request_is_closed() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with ActorSystem() as system:
            ref = spawn(system, Diary(), handler=busy_until_asked)
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
            ref = spawn(system, Diary(), handler=busy_until_asked)
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
            ref = spawn(system, Diary(), handler=busy_until_asked)
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


# --- supervision ---


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


# --- background work ---


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


# --- stop ---


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


# --- the whole ---


class Exercise:
    """Does to one supervised actor what a list of steps says, and keeps account."""

    def __init__(self, *, mailbox_limit: int, slow: bool) -> None:
        self.diary = Diary()
        self.taken: list[str] = []
        self.asks: list[asyncio.Future[str]] = []
        self._mailbox_limit = mailbox_limit
        self._slow = slow
        self._numbers = itertools.count()

    def start(self, system: ActorSystem) -> None:
        self._ref = spawn(
            system,
            self.diary,
            handler=self._work,
            mailbox_limit=self._mailbox_limit,
            supervision=Supervision(crashes=10_000),
        )

    async def _work(self, probe: Probe, batch: Sequence[Message]) -> None:
        for message in batch:
            if self._slow:
                await asyncio.sleep(0.3)
            if "poison" in text_of(message):
                raise Poison
            if isinstance(message, Ask):
                message.answer(message.text)

    async def do(self, action: str) -> None:
        match action:
            case "yield":
                await asyncio.sleep(0)
            case "pause":
                await asyncio.sleep(0.5)
            case "cancel an ask":
                for ask in self.asks[-1:]:
                    ask.cancel()
            case _:
                self._send(action)

    def _send(self, action: str) -> None:
        text = f"{action} {next(self._numbers)}"
        request = Ask(text) if action.startswith("ask") else None
        try:
            self._ref.tell(request or text)
        except MailboxFull:
            assert self._ref.depth == self._mailbox_limit
            return
        self.taken.append(text)
        if request:
            self.asks.append(asyncio.ensure_future(request.result(FOREVER)))


actions = st.sampled_from(["tell", "ask", "ask", "tell poison", "ask poison", "yield", "pause", "cancel an ask"])


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(actions, max_size=40), mailbox_limit=st.integers(1, 8), slow=st.booleans(), late=st.booleans())
def test_whatever_happens_every_ask_ends_and_nothing_is_handled_twice(
    steps: list[str], mailbox_limit: int, slow: bool, late: bool
) -> None:
    exercise = Exercise(mailbox_limit=mailbox_limit, slow=slow)

    async def scenario() -> tuple[bool, list[Any]]:
        async with ActorSystem() as system:
            exercise.start(system)
            for action in steps:
                await exercise.do(action)
            in_time = await system.stop(0.1 if late else FOREVER)
        return in_time, await asyncio.gather(*exercise.asks, return_exceptions=True)

    in_time, outcomes = run(scenario())
    for outcome in outcomes:
        assert isinstance(outcome, str | ActorStopped | ActorCrashed | asyncio.CancelledError)
    seen = exercise.diary.seen
    assert seen == exercise.taken[: len(seen)]  # in order, each once, none left out
    if in_time:
        assert seen == exercise.taken
        poisoned = [batch for batch in exercise.diary.batches if any("poison" in text for text in batch)]
        assert len(exercise.diary.crashed) == len(poisoned)


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
