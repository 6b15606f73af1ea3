"""The calls that orders become: how many at a time, and to whom. On virtual time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from match_server.events.node import SessionAsked
from match_server.store.journey import Confirm, Confirmed, Failed
from match_server.store.scripts import ItemFailed
from tests.unit.allocator_bench import bench, order
from tests.unit.virtual_time import run, until_quiet

# --- how much at a time ---


def test_an_order_becomes_a_call_and_its_session_a_match() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order())
            assert b.provider.calls == [[order()]]
            await asyncio.sleep(0.5)
            await b.answer()
            assert b.confirmed() == [Confirm("L1", 1, "session-L1", "203.0.113.7:7777")]
            assert [found.players for found in b.found] == [("ann", "bob")]
            (asked,) = b.events.of(SessionAsked)
            assert (asked.outcome, round(asked.seconds, 3)) == ("created", 0.5)

    run(scenario())


def test_at_most_four_single_calls_to_a_server_are_in_flight() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(*(order(number) for number in range(10)))
            assert b.sizes() == [1] * 4
            await b.answer()
            assert b.sizes() == [1] * 5
            for _ in range(9):
                await b.answer()
            assert [call[0].loading_session_id for call in b.provider.calls] == [f"L{number}" for number in range(10)]

    run(scenario())


def test_batches_are_of_up_to_64_and_at_most_two_of_a_server_are_in_flight() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(*(order(number, batch=True) for number in range(150)))
            assert b.sizes() == [64, 64]
            await b.answer()
            assert b.sizes() == [64, 64, 22]
            await b.take(*(order(number, batch=True) for number in range(150, 160)))
            assert b.sizes() == [64, 64, 22]
            await b.answer()
            assert b.sizes() == [64, 64, 22, 10]
            assert len(b.confirmed()) == 128

    run(scenario())


def test_a_slow_server_holds_up_nobody_but_its_own_orders() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(*(order(number, server_id="slow") for number in range(6)))
            await b.take(*(order(f"f{number}", server_id="fast") for number in range(3)))
            by_server = Counter(call[0].server_id for call in b.provider.calls)
            assert by_server == {"slow": 4, "fast": 3}

    run(scenario())


def test_outcomes_that_come_together_go_to_redis_in_one_call() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(*(order(number) for number in range(4)))
            for _ in range(4):
                b.provider.answer()
            await until_quiet()
            assert [len(items) for items in b.store.confirms] == [4]
            assert b.store.fails == []

    run(scenario())


def test_a_batch_server_that_registers_anew_without_batches_gets_no_batch_that_mixes_both() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(*(order(number, batch=True) for number in range(128)))
            moved = [replace(order(f"new-{number}"), endpoint="http://127.0.0.1:2") for number in range(2)]
            await b.take(order("old", batch=True), *moved)
            for _ in range(4):
                if b.provider.waiting:
                    await b.answer()
            for call in b.provider.calls:
                assert len({(one.endpoint, one.batch) for one in call}) == 1

    run(scenario())


# --- the same order twice ---


def test_the_same_order_twice_is_one_call() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order(), order())
            await b.take(order())
            assert b.provider.calls == [[order()]]
            await b.answer()
            assert len(b.confirmed()) == 1

    run(scenario())


def test_an_older_attempt_than_the_one_under_way_is_ignored() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(order(attempt=3), order(attempt=2))
            assert b.provider.calls == [[order(attempt=3)]]

    run(scenario())


def test_the_outcome_of_an_attempt_that_was_superseded_is_left_alone() -> None:
    async def scenario() -> None:
        async with bench() as b:
            second = order(server_id="s2", attempt=2)
            await b.take(order())
            await b.take(second)
            await b.answer()  # of the first
            assert b.confirmed() == []
            await b.answer()
            assert b.confirmed() == [Confirm("L1", 2, "session-L1", "203.0.113.7:7777")]

    run(scenario())


def test_an_order_that_was_superseded_while_it_waited_is_not_sent_any_more() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.take(*(order(f"other-{number}") for number in range(4)))
            await b.take(order(1))  # all calls to s1 are taken: it waits
            second = order(1, server_id="s2", attempt=2)
            await b.take(second)
            for _ in range(4):
                await b.answer()
            assert [call for call in b.provider.calls if call[0].loading_session_id == "L1"] == [[second]]

    run(scenario())


def test_a_session_may_be_allocated_again_once_its_order_is_settled() -> None:
    async def scenario() -> None:
        async with bench() as b:
            b.provider.at_once = "full"
            b.store.fail_says["L1"] = Failed("waiting")
            await b.take(order())
            await b.take(order(attempt=2))
            assert len(b.provider.calls) == 2

    run(scenario())


def test_after_a_crash_no_more_calls_are_under_way_than_before() -> None:
    """Results of an earlier instance's calls are still in the mailbox, and must not count against the new lanes."""

    async def scenario() -> None:
        async with bench() as b:
            settle, gate = b.store.confirm, asyncio.Event()

            async def crash(items: Sequence[Confirm], *, players: int = 2) -> list[Confirmed | ItemFailed]:
                await gate.wait()
                raise RuntimeError("a bug")

            b.store.confirm = crash  # type: ignore[method-assign]  # met once
            await b.take(*(order(number) for number in range(4)))
            for _ in range(4):
                await b.answer()  # the first is being settled, the others wait in the mailbox
            b.store.confirm = settle  # type: ignore[method-assign]
            gate.set()
            await asyncio.sleep(5)  # of virtual time: it is replaced
            before = len(b.provider.calls)
            await b.take(*(order(number) for number in range(10, 30)))
            assert len(b.provider.calls) - before == 4

    run(scenario())
