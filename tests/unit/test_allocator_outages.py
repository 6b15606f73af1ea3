"""What the allocator keeps while Redis is away, and what it leaves to a lease. On virtual time."""

import asyncio
from collections.abc import Sequence

from structlog.typing import EventDict

from match_server.actors.allocator import Provision
from match_server.errors import StoreUnavailable
from match_server.store.journey import Confirm, Confirmed, Fail, Failed
from match_server.store.scripts import ItemFailed
from tests.unit.allocator_bench import LEASE_SECONDS, MODE, SAID, bench, not_created, order
from tests.unit.virtual_time import run, until_quiet

AWAY = StoreUnavailable("away")


# --- outcomes ---


def test_outcomes_are_kept_while_redis_is_away_and_settled_later() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.error = AWAY
            await b.take(order(1), order(2))
            await b.answer()
            await b.answer(not_created("full"))
            await asyncio.sleep(3 * LEASE_SECONDS)
            assert b.found == []
            assert b.sizes() == [1, 1]  # nothing is made twice
            b.store.error = None
            await asyncio.sleep(LEASE_SECONDS)
            assert len(b.found) == 1
            assert b.failed()[-1] == Fail("L2", 1, "full", SAID)
            settled = len(b.store.confirms), len(b.store.fails)
            await asyncio.sleep(3 * LEASE_SECONDS)
            assert (len(b.store.confirms), len(b.store.fails)) == settled

    run(scenario())


def test_a_lost_slot_that_could_not_be_told_to_redis_is_told_later_and_its_confirmation_is_not_repeated() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.confirm_says["L1"] = Confirmed("lost")
            await b.take(order(1))

            async def away(items: Sequence[Fail], *, players: int = 2) -> list[Failed | ItemFailed]:
                raise AWAY

            b.store.fail = away  # type: ignore[method-assign]  # until it is back
            await b.answer()
            del b.store.fail
            await asyncio.sleep(LEASE_SECONDS)
            assert len(b.store.confirms) == 1
            assert b.failed() == [Fail("L1", 1, "lost", "")]

    run(scenario())


def test_two_outcomes_of_one_session_that_wait_for_redis_together_are_both_settled(logs: list[EventDict]) -> None:
    """The first attempt's confirmation was refused (out of memory, say), and a janitor gave the session out again."""

    async def scenario() -> None:
        async with bench() as b:
            b.provider.at_once = "created"
            b.store.confirm_error = AWAY
            await b.take(order(attempt=1))
            await b.take(order(attempt=2))
            b.store.confirm_error = None
            b.store.confirm_says["L1"] = Confirmed("stale")
            await asyncio.sleep(LEASE_SECONDS)
            assert [item.attempt for item in b.store.confirms[-1]] == [1, 2]
        assert [line["event"] for line in logs if line["log_level"] == "error"] == []

    run(scenario())


def test_an_item_that_redis_fails_on_is_logged_and_left_to_its_lease(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.confirm_says["L1"] = ItemFailed("confirm: boom")
            b.store.fail_says["L2"] = ItemFailed("fail: boom")
            await b.take(order(1), order(2), order(3))
            await b.answer()
            await b.answer(not_created("full"))
            await b.answer()
            errors = [line["event"] for line in logs if line["log_level"] == "error"]
            assert errors == ["confirm_failed", "fail_failed"]
            assert len(b.found) == 1
            await asyncio.sleep(LEASE_SECONDS)
            assert b.upkeep.renewals == []

    run(scenario())


def test_an_outcome_that_finds_the_mailbox_full_is_left_to_its_lease(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            gate = asyncio.Event()

            async def slow(items: Sequence[Confirm], *, players: int = 2) -> list[Confirmed | ItemFailed]:
                await gate.wait()
                return [Confirmed("matched", ("ann", "bob")) for _ in items]

            b.store.confirm = slow  # type: ignore[method-assign]  # Redis takes its time
            await b.take(order(1), order(2))
            await b.answer()
            for _ in range(10_000):
                b.ref.tell(Provision(order("same")))
            await b.answer()
            assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["outcome_left_to_its_lease"]
            gate.set()
            await until_quiet()
            b.upkeep.renewals.clear()
            await asyncio.sleep(LEASE_SECONDS)
            renewed = {session for _, leases in b.upkeep.renewals for _, session in leases}
            assert renewed == {"Lsame"}, "the lease of the order whose outcome was dropped runs out"
            await b.take(order(2))  # adopted: the same attempt, to the same server, with the same key
            assert b.sizes()[-1] == 1
            assert b.provider.calls[-1][0].loading_session_id == "L2"

    run(scenario())


# --- leases ---


def test_it_renews_the_leases_of_what_it_works_on_and_nothing_else() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await asyncio.sleep(LEASE_SECONDS)
            assert b.upkeep.renewals == []
            await b.take(order(1), order(2))
            await asyncio.sleep(LEASE_SECONDS)
            assert len(b.upkeep.renewals) >= 3
            assert all(renewal == (6_000_000, [(MODE, "L1"), (MODE, "L2")]) for renewal in b.upkeep.renewals)
            await b.answer()
            b.upkeep.renewals.clear()
            await asyncio.sleep(LEASE_SECONDS / 2)
            assert b.upkeep.renewals[0] == (6_000_000, [(MODE, "L2")])

    run(scenario())


def test_at_its_stop_it_hands_over_what_it_works_on() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order(1), order(2), order(3))
            await b.answer()
        assert b.upkeep.handed_over == [(MODE, "L2"), (MODE, "L3")]

    run(scenario())


def test_at_a_stop_without_redis_the_leases_end_by_themselves(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order(1))
            b.upkeep.error = AWAY
        assert b.upkeep.handed_over == []

    run(scenario())
    assert [entry for entry in logs if entry["event"] == "actor_crashed"] == []


def test_a_renewal_that_redis_does_not_answer_is_left_to_the_next() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.upkeep.error = AWAY
            await b.take(order(1))
            await asyncio.sleep(LEASE_SECONDS)
            assert len(b.upkeep.renewals) >= 2
            await b.answer()
            assert len(b.found) == 1

    run(scenario())
