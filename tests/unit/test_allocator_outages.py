"""What the allocator keeps while Redis is away, and what it leaves to a lease. On virtual time."""

import asyncio
from collections.abc import Sequence

from structlog.typing import EventDict

from match_server.actors.allocator import Provision
from match_server.errors import StoreUnavailable
from match_server.store.journey import Confirm, Confirmed, Fail, Order
from match_server.store.scripts import ItemFailed
from tests.unit.allocator_yard import LEASE_SECONDS, MODE, not_created, order, yard
from tests.unit.virtual_time import run, until_quiet

AWAY = StoreUnavailable("away")


# --- outcomes ---


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


# --- leases ---


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
