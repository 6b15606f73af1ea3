"""What may come of the allocator's call to a dedicated server. On virtual time."""

from typing import Literal

import pytest
from structlog.typing import EventDict

from match_server.store.journey import Confirm, Confirmed, Fail, Failed
from tests.unit.allocator_bench import MODE, SAID, bench, not_created, order
from tests.unit.virtual_time import run, until_quiet


def test_an_unknown_outcome_asks_the_same_server_once_more_and_then_fails() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order())
            await b.answer(not_created("unknown"))
            assert b.provider.calls == [[order()], [order()]]
            assert b.store.fails == []
            await b.answer(not_created("unknown"))
            assert b.failed() == [Fail("L1", 1, "unknown", SAID)]
            assert len(b.provider.calls) == 2

    run(scenario())


def test_a_session_found_by_asking_once_more_is_confirmed() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order())
            await b.answer(not_created("unknown"))
            await b.answer()
            assert len(b.confirmed()) == 1
            assert b.store.fails == []

    run(scenario())


@pytest.mark.parametrize("outcome", ["full", "error"])
def test_a_refusal_is_not_asked_again(outcome: Literal["full", "error"]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order())
            await b.answer(not_created(outcome))
            assert b.failed() == [Fail("L1", 1, outcome, SAID)]
            assert len(b.provider.calls) == 1

    run(scenario())


def test_a_failed_attempt_goes_on_with_the_order_of_the_next_one() -> None:
    async def scenario() -> None:
        async with bench() as b:
            second = order(server_id="s2", attempt=2)
            b.store.fail_says["L1"] = Failed("placed", second)
            await b.take(order())
            await b.answer(not_created("full"))
            assert b.provider.calls == [[order()], [second]]
            await b.answer(not_created("unknown"))  # a new attempt may ask its server once more, too
            assert b.provider.calls[2:] == [[second]]
            await b.answer()
            assert b.confirmed() == [Confirm("L1", 2, "session-L1", "203.0.113.7:7777")]

    run(scenario())


def test_attempts_used_up_are_said_once_and_a_wait_for_a_slot_is_not_a_failure(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.fail_says["L1"] = Failed("cancelled", tried=("s2", "s1"))
            b.store.fail_says["L2"] = Failed("waiting")
            b.store.fail_says["L3"] = Failed("stale")
            b.provider.at_once = "full"
            await b.take(order(1), order(2), order(3))
            (line,) = (line for line in logs if line["event"] == "allocation_failed")
            assert line == {
                "event": "allocation_failed",
                "log_level": "warning",
                "loading_session_id": "L1",
                "game_mode": MODE,
                "players": ("ann", "bob"),
                "attempts": 1,
                "server_ids": ("s2", "s1"),
                "reason": "attempts_used_up",
            }

    run(scenario())


def test_an_attempt_that_fails_is_one_warning_with_the_server_and_the_error_in_words(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order())
            await b.answer(not_created("unknown"))
            assert [line["log_level"] for line in logs] == ["warning"], "the same server is asked once more"
            await b.answer(not_created("unknown"))
            warnings = [line for line in logs if line["event"] == "session_not_created"]
            assert warnings == [
                {
                    "event": "session_not_created",
                    "log_level": "warning",
                    "server_id": "s1",
                    "control_url": "http://s1:1",
                    "loading_session_id": "L1",
                    "attempt": 1,
                    "outcome": "unknown",
                    "error": SAID,
                }
            ]

    run(scenario())


def test_a_match_whose_slot_was_voided_meanwhile_is_a_failed_attempt() -> None:
    async def scenario() -> None:
        async with bench() as b:
            second = order(server_id="s2", attempt=2)
            b.store.confirm_says["L1"] = Confirmed("lost")
            b.store.fail_says["L1"] = Failed("placed", second)
            await b.take(order(1), order(2))
            b.provider.answer()
            b.provider.answer()
            await until_quiet()
            assert b.failed() == [Fail("L1", 1, "lost", "")]
            assert len(b.found) == 1
            assert b.provider.calls[2:] == [[second]]

    run(scenario())


def test_a_stale_confirmation_is_not_reported_as_a_match() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.store.confirm_says["L1"] = Confirmed("stale")
            await b.take(order())
            await b.answer()
            assert b.found == []
            assert b.store.fails == []

    run(scenario())
