"""What may come of the allocator's call to a dedicated server. On virtual time."""

from typing import Literal

import pytest
from structlog.typing import EventDict

from match_server.store.journey import Confirm, Confirmed, Fail
from tests.unit.allocator_yard import not_created, order, yard
from tests.unit.virtual_time import run, until_quiet


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
