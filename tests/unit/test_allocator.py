"""The allocator, between orders, dedicated servers and a Redis that the test plays. On virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

import pytest
from structlog.typing import EventDict

from match_server.actors.allocator import Allocator, AllocatorMessage, Provision
from match_server.actors.core import ActorSystem, Ref, Supervision
from match_server.errors import StoreUnavailable
from match_server.servers.provider import Created, NotCreated, Provisioned
from match_server.store.journey import Confirm, Confirmed, Fail, JourneyStore, Order
from match_server.store.scripts import ItemFailed
from match_server.store.upkeep import UpkeepStore
from tests.unit.virtual_time import run, until_quiet

MODE = "Normal_1v1"
LEASE_SECONDS = 6.0
AWAY = StoreUnavailable("away")


def order(number: int | str = 1, *, server_id: str = "s1", attempt: int = 1, batch: bool = False) -> Order:
    return Order(f"L{number}", attempt, MODE, server_id, "http://127.0.0.1:1", "s1:1", batch, ("ann", "bob"))


def created(of: Order) -> Created:
    return Created(f"session-{of.loading_session_id}", "203.0.113.7:7777")


def not_created(outcome: Literal["full", "error", "unknown"]) -> NotCreated:
    return NotCreated(outcome, "as the test wants it")


class FakeProvider:
    """Keeps each call waiting until the test answers it, unless `at_once` says how."""

    def __init__(self) -> None:
        self.calls: list[list[Order]] = []
        self.waiting: list[tuple[list[Order], asyncio.Future[list[Provisioned]]]] = []
        self.at_once: Literal["created", "full", "error", "unknown"] | None = None

    async def create(self, orders: Sequence[Order]) -> list[Provisioned]:
        self.calls.append(list(orders))
        if self.at_once == "created":
            return [created(one) for one in orders]
        if self.at_once:
            return [not_created(self.at_once) for _ in orders]
        future: asyncio.Future[list[Provisioned]] = asyncio.get_running_loop().create_future()
        self.waiting.append((list(orders), future))
        return await future

    async def aclose(self) -> None:
        """There is nothing to close."""

    def answer(self, outcome: NotCreated | None = None) -> None:
        """Answer the call that has waited longest."""
        orders, future = self.waiting.pop(0)
        future.set_result([outcome or created(one) for one in orders])


class FakeStore(JourneyStore):
    def __init__(self) -> None:
        self.confirms: list[list[Confirm]] = []
        self.fails: list[list[Fail]] = []
        self.error: StoreUnavailable | None = None
        self.confirm_error: StoreUnavailable | None = None
        self.confirm_says: dict[str, Confirmed | ItemFailed] = {}
        self.fail_says: dict[str, tuple[str, Order | None] | ItemFailed] = {}

    async def confirm(self, items: Sequence[Confirm], *, players: int = 2) -> list[Confirmed | ItemFailed]:
        self.confirms.append(list(items))
        if error := self.error or self.confirm_error:
            raise error
        usual = Confirmed("matched", ("ann", "bob"), 1500)
        return [self.confirm_says.get(item.loading_session_id, usual) for item in items]

    async def fail(self, items: Sequence[Fail], *, players: int = 2) -> list[tuple[str, Order | None] | ItemFailed]:
        self.fails.append(list(items))
        if self.error:
            raise self.error
        return [self.fail_says.get(item.loading_session_id, ("cancelled", None)) for item in items]


class FakeUpkeep(UpkeepStore):
    def __init__(self) -> None:
        self.renewals: list[tuple[int, list[tuple[str, str]]]] = []
        self.error: StoreUnavailable | None = None

    async def renew(
        self, *, lease_us: int, game_modes: Iterable[str], allocations: Sequence[tuple[str, str]] = ()
    ) -> bool:
        self.renewals.append((lease_us, list(allocations)))
        if self.error:
            raise self.error
        return True


class Yard:
    def __init__(self, system: ActorSystem) -> None:
        self.store, self.upkeep, self.provider = FakeStore(), FakeUpkeep(), FakeProvider()
        self.calls: list[tuple[float, str]] = []
        self.found: list[Confirmed] = []
        self.given_up = 0
        self.ref: Ref[AllocatorMessage] = system.spawn(
            "allocator",
            lambda: Allocator(
                store=self.store,
                upkeep=self.upkeep,
                provider=self.provider,
                clock=asyncio.get_running_loop().time,
                lease_seconds=LEASE_SECONDS,
                game_modes=[MODE],
                observe_call=lambda seconds, outcome: self.calls.append((round(seconds, 3), outcome)),
                observe_match=self.found.append,
                observe_given_up=self._give_up,
            ),
            mailbox_limit=10_000,
            phase=0,
            supervision=Supervision(),
        )

    def _give_up(self) -> None:
        self.given_up += 1

    async def take(self, *orders: Order) -> None:
        for one in orders:
            self.ref.tell(Provision(one))
        await until_quiet()

    async def answer(self, outcome: NotCreated | None = None) -> None:
        self.provider.answer(outcome)
        await until_quiet()

    def sizes(self) -> list[int]:
        return [len(call) for call in self.provider.calls]

    def failed(self) -> list[Fail]:
        return [item for items in self.store.fails for item in items]

    def confirmed(self) -> list[Confirm]:
        return [item for items in self.store.confirms for item in items]


@asynccontextmanager
async def yard() -> AsyncIterator[Yard]:
    async with ActorSystem() as system:
        try:
            yield Yard(system)
        finally:
            await system.stop(1)


# --- how much at a time ---


def test_an_order_becomes_a_call_and_its_session_a_match() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(order())
            assert y.provider.calls == [[order()]]
            await asyncio.sleep(0.5)
            await y.answer()
            assert y.confirmed() == [Confirm("L1", 1, "session-L1", "203.0.113.7:7777")]
            assert [found.players for found in y.found] == [("ann", "bob")]
            assert y.calls == [(0.5, "created")]

    run(scenario())


def test_at_most_four_single_calls_to_a_server_are_in_flight() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(*(order(number) for number in range(10)))
            assert y.sizes() == [1] * 4
            await y.answer()
            assert y.sizes() == [1] * 5
            for _ in range(9):
                await y.answer()
            assert [call[0].loading_session_id for call in y.provider.calls] == [f"L{number}" for number in range(10)]

    run(scenario())


def test_batches_are_of_up_to_64_and_at_most_two_of_a_server_are_in_flight() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(*(order(number, batch=True) for number in range(150)))
            assert y.sizes() == [64, 64]
            await y.answer()
            assert y.sizes() == [64, 64, 22]
            await y.take(*(order(number, batch=True) for number in range(150, 160)))
            assert y.sizes() == [64, 64, 22]
            await y.answer()
            assert y.sizes() == [64, 64, 22, 10]
            assert len(y.confirmed()) == 128

    run(scenario())


def test_a_slow_server_holds_up_nobody_but_its_own_orders() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(*(order(number, server_id="slow") for number in range(6)))
            await y.take(*(order(f"f{number}", server_id="fast") for number in range(3)))
            by_server = Counter(call[0].server_id for call in y.provider.calls)
            assert by_server == {"slow": 4, "fast": 3}

    run(scenario())


def test_outcomes_that_come_together_go_to_redis_in_one_call() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(*(order(number) for number in range(4)))
            for _ in range(4):
                y.provider.answer()
            await until_quiet()
            assert [len(items) for items in y.store.confirms] == [4]
            assert y.store.fails == []

    run(scenario())


# --- what may come of a call ---


def test_an_unknown_outcome_asks_the_same_server_once_more_and_then_fails() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(order())
            await y.answer(not_created("unknown"))
            assert y.provider.calls == [[order()], [order()]]
            assert y.store.fails == []
            await y.answer(not_created("unknown"))
            assert y.failed() == [Fail("L1", 1, "unknown")]
            assert len(y.provider.calls) == 2

    run(scenario())


def test_a_session_found_by_asking_once_more_is_confirmed() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(order())
            await y.answer(not_created("unknown"))
            await y.answer()
            assert len(y.confirmed()) == 1
            assert y.store.fails == []

    run(scenario())


@pytest.mark.parametrize("outcome", ["full", "error"])
def test_a_refusal_is_not_asked_again(outcome: Literal["full", "error"]) -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(order())
            await y.answer(not_created(outcome))
            assert y.failed() == [Fail("L1", 1, outcome)]
            assert len(y.provider.calls) == 1

    run(scenario())


def test_a_failed_attempt_goes_on_with_the_order_of_the_next_one() -> None:
    async def scenario() -> None:
        async with yard() as y:
            second = order(server_id="s2", attempt=2)
            y.store.fail_says["L1"] = ("placed", second)
            await y.take(order())
            await y.answer(not_created("full"))
            assert y.provider.calls == [[order()], [second]]
            await y.answer(not_created("unknown"))  # a new attempt may ask its server once more, too
            assert y.provider.calls[2:] == [[second]]
            await y.answer()
            assert y.confirmed() == [Confirm("L1", 2, "session-L1", "203.0.113.7:7777")]
            assert y.given_up == 0

    run(scenario())


def test_attempts_used_up_are_said_once_and_a_wait_for_a_slot_is_not_a_failure(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with yard() as y:
            y.store.fail_says["L1"] = ("cancelled", None)
            y.store.fail_says["L2"] = ("waiting", None)
            y.store.fail_says["L3"] = ("stale", None)
            y.provider.at_once = "full"
            await y.take(order(1), order(2), order(3))
            assert y.given_up == 1
            failed = [line["loading_session_id"] for line in logs if line["event"] == "allocation_failed"]
            assert failed == ["L1"]

    run(scenario())


def test_a_match_whose_slot_was_voided_meanwhile_is_a_failed_attempt() -> None:
    async def scenario() -> None:
        async with yard() as y:
            second = order(server_id="s2", attempt=2)
            y.store.confirm_says["L1"] = Confirmed("lost")
            y.store.fail_says["L1"] = ("placed", second)
            await y.take(order(1), order(2))
            y.provider.answer()
            y.provider.answer()
            await until_quiet()
            assert y.failed() == [Fail("L1", 1, "lost")]
            assert len(y.found) == 1
            assert y.provider.calls[2:] == [[second]]

    run(scenario())


def test_a_stale_confirmation_is_not_reported_as_a_match() -> None:
    async def scenario() -> None:
        async with yard() as y:
            y.store.confirm_says["L1"] = Confirmed("stale")
            await y.take(order())
            await y.answer()
            assert y.found == []
            assert y.store.fails == []

    run(scenario())


def test_an_item_that_redis_fails_on_is_logged_and_left_to_its_lease(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with yard() as y:
            y.store.confirm_says["L1"] = ItemFailed("confirm: boom")
            y.store.fail_says["L2"] = ItemFailed("fail: boom")
            await y.take(order(1), order(2), order(3))
            await y.answer()
            await y.answer(not_created("full"))
            await y.answer()
            errors = [line["event"] for line in logs if line["log_level"] == "error"]
            assert errors == ["confirm_failed", "fail_failed"]
            assert len(y.found) == 1
            await asyncio.sleep(LEASE_SECONDS)
            assert y.upkeep.renewals == []

    run(scenario())


# --- the same order twice ---


def test_the_same_order_twice_is_one_call() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(order(), order())
            await y.take(order())
            assert y.provider.calls == [[order()]]
            await y.answer()
            assert len(y.confirmed()) == 1

    run(scenario())


def test_an_older_attempt_than_the_one_under_way_is_ignored() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(order(attempt=3), order(attempt=2))
            assert y.provider.calls == [[order(attempt=3)]]

    run(scenario())


def test_the_outcome_of_an_attempt_that_was_superseded_is_left_alone() -> None:
    async def scenario() -> None:
        async with yard() as y:
            second = order(server_id="s2", attempt=2)
            await y.take(order())
            await y.take(second)
            await y.answer()  # of the first
            assert y.confirmed() == []
            await y.answer()
            assert y.confirmed() == [Confirm("L1", 2, "session-L1", "203.0.113.7:7777")]

    run(scenario())


def test_an_order_that_was_superseded_while_it_waited_is_not_sent_any_more() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(*(order(f"other-{number}") for number in range(4)))
            await y.take(order(1))  # all calls to s1 are taken: it waits
            second = order(1, server_id="s2", attempt=2)
            await y.take(second)
            for _ in range(4):
                await y.answer()
            assert [call for call in y.provider.calls if call[0].loading_session_id == "L1"] == [[second]]

    run(scenario())


def test_a_session_may_be_allocated_again_once_its_order_is_settled() -> None:
    async def scenario() -> None:
        async with yard() as y:
            y.provider.at_once = "full"
            y.store.fail_says["L1"] = ("waiting", None)
            await y.take(order())
            await y.take(order(attempt=2))
            assert len(y.provider.calls) == 2

    run(scenario())


# --- while Redis is away ---


def test_outcomes_are_kept_while_redis_is_away_and_settled_later() -> None:
    async def scenario() -> None:
        async with yard() as y:
            y.store.error = AWAY
            await y.take(order(1), order(2))
            await y.answer()
            await y.answer(not_created("full"))
            await asyncio.sleep(3 * LEASE_SECONDS)
            assert y.found == []
            assert y.sizes() == [1, 1]  # nothing is made twice
            y.store.error = None
            await asyncio.sleep(LEASE_SECONDS)
            assert len(y.found) == 1
            assert y.failed()[-1] == Fail("L2", 1, "full")
            settled = len(y.store.confirms), len(y.store.fails)
            await asyncio.sleep(3 * LEASE_SECONDS)
            assert (len(y.store.confirms), len(y.store.fails)) == settled

    run(scenario())


def test_a_lost_slot_that_could_not_be_told_to_redis_is_told_later_and_its_confirmation_is_not_repeated() -> None:
    async def scenario() -> None:
        async with yard() as y:
            y.store.confirm_says["L1"] = Confirmed("lost")
            await y.take(order(1))

            async def away(items: Sequence[Fail], *, players: int = 2) -> list[tuple[str, Order | None] | ItemFailed]:
                raise AWAY

            y.store.fail = away  # type: ignore[method-assign]  # until it is back
            await y.answer()
            del y.store.fail
            await asyncio.sleep(LEASE_SECONDS)
            assert len(y.store.confirms) == 1
            assert y.failed() == [Fail("L1", 1, "lost")]

    run(scenario())


def test_two_outcomes_of_one_session_that_wait_for_redis_together_are_both_settled(logs: list[EventDict]) -> None:
    """The first attempt's confirmation was refused (out of memory, say), and a janitor gave the session out again."""

    async def scenario() -> None:
        async with yard() as y:
            y.provider.at_once = "created"
            y.store.confirm_error = AWAY
            await y.take(order(attempt=1))
            await y.take(order(attempt=2))
            y.store.confirm_error = None
            y.store.confirm_says["L1"] = Confirmed("stale")
            await asyncio.sleep(LEASE_SECONDS)
            assert [item.attempt for item in y.store.confirms[-1]] == [1, 2]
        assert [line["event"] for line in logs if line["log_level"] == "error"] == []

    run(scenario())


def test_it_renews_the_leases_of_what_it_works_on_and_nothing_else() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await asyncio.sleep(LEASE_SECONDS)
            assert y.upkeep.renewals == []
            await y.take(order(1), order(2))
            await asyncio.sleep(LEASE_SECONDS)
            assert len(y.upkeep.renewals) >= 3
            assert all(renewal == (6_000_000, [(MODE, "L1"), (MODE, "L2")]) for renewal in y.upkeep.renewals)
            await y.answer()
            y.upkeep.renewals.clear()
            await asyncio.sleep(LEASE_SECONDS / 2)
            assert y.upkeep.renewals[0] == (6_000_000, [(MODE, "L2")])

    run(scenario())


def test_a_renewal_that_redis_does_not_answer_is_left_to_the_next() -> None:
    async def scenario() -> None:
        async with yard() as y:
            y.upkeep.error = AWAY
            await y.take(order(1))
            await asyncio.sleep(LEASE_SECONDS)
            assert len(y.upkeep.renewals) >= 2
            await y.answer()
            assert len(y.found) == 1

    run(scenario())


def test_an_outcome_that_finds_the_mailbox_full_is_left_to_its_lease(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with yard() as y:
            gate = asyncio.Event()

            async def slow(items: Sequence[Confirm], *, players: int = 2) -> list[Confirmed | ItemFailed]:
                await gate.wait()
                return [Confirmed("matched", ("ann", "bob")) for _ in items]

            y.store.confirm = slow  # type: ignore[method-assign]  # Redis takes its time
            await y.take(order(1), order(2))
            await y.answer()
            for _ in range(10_000):
                y.ref.tell(Provision(order("same")))
            await y.answer()
            assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["outcome_left_to_its_lease"]
            gate.set()
            await until_quiet()

    run(scenario())


def test_a_batch_server_that_registers_anew_without_batches_gets_no_batch_that_mixes_both() -> None:
    async def scenario() -> None:
        async with yard() as y:
            await y.take(*(order(number, batch=True) for number in range(128)))
            moved = [replace(order(f"new-{number}"), endpoint="http://127.0.0.1:2") for number in range(2)]
            await y.take(order("old", batch=True), *moved)
            for _ in range(4):
                if y.provider.waiting:
                    await y.answer()
            for call in y.provider.calls:
                assert len({(one.endpoint, one.batch) for one in call}) == 1

    run(scenario())
