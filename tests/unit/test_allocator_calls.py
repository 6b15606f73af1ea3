"""The calls that orders become: how many at a time, and to whom. On virtual time."""

import asyncio
from collections import Counter
from dataclasses import replace

from match_server.store.journey import Confirm
from tests.unit.allocator_yard import order, yard
from tests.unit.virtual_time import run, until_quiet

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
