"""Pings on a WebSocket: a peer that has vanished is noticed. On virtual time."""

import asyncio

import pytest
from websockets.frames import Opcode

from tests.unit.virtual_time import run
from tests.unit.websocket_link import PING_INTERVAL, PING_TIMEOUT, opened


def test_a_peer_that_answers_pings_stays() -> None:
    async def scenario() -> None:
        async with opened() as link:
            for _ in range(40):
                await asyncio.sleep(PING_TIMEOUT - 0.1)
                await link.exchange()
            assert not link.transport.lost
            assert sum(frame.opcode is Opcode.PING for frame in link.received) >= 9

    run(scenario())


def test_a_peer_that_talks_is_seldom_pinged_until_it_falls_silent() -> None:
    async def scenario() -> None:
        async with opened() as link:
            for _ in range(100):
                link.client.send_text(b'{"type":"ping"}')
                await link.exchange()
                await asyncio.sleep(0.2 * PING_INTERVAL)
            assert 4 <= [frame.opcode for frame in link.received].count(Opcode.PING) <= 10
            await asyncio.sleep(0.8 * PING_INTERVAL)  # one interval since it was heard
            link.transport.peer_reads = False  # and now it has vanished
            await asyncio.sleep(PING_TIMEOUT + 0.1)
            assert link.transport.lost

    run(scenario())


def test_a_peer_that_talks_and_reads_nothing_is_noticed_too() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.transport.peer_reads = False
            for _ in range(12):
                link.client.send_text(b'{"type":"ping"}')
                await link.flush()
                await asyncio.sleep(0.45 * PING_INTERVAL)
            assert link.transport.lost, f"after {12 * 0.45} intervals, of which 4 and the timeout are due"

    run(scenario())


def test_those_who_came_in_one_rush_are_not_pinged_in_one() -> None:
    async def scenario() -> None:
        times = []
        for _ in range(20):
            async with opened() as link:
                began = asyncio.get_running_loop().time()
                while not any(frame.opcode is Opcode.PING for frame in link.received):
                    await asyncio.sleep(0.1)
                    await link.exchange()
                times.append(asyncio.get_running_loop().time() - began)
        assert min(times) >= PING_INTERVAL / 2
        assert max(times) <= PING_INTERVAL + 0.2
        assert max(times) - min(times) > PING_INTERVAL / 8

    run(scenario())


@pytest.mark.parametrize("unread", [False, True])
def test_a_peer_that_has_vanished_is_aborted_whatever_lies_unread(unread: bool) -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.transport.peer_reads = not unread
            link.connection.send_frame(b"x" * 1000)
            await asyncio.sleep(PING_INTERVAL / 2 + PING_TIMEOUT - 0.1)
            assert not link.transport.lost
            await asyncio.sleep(PING_INTERVAL / 2 + 0.2)
            assert link.transport.aborted
            assert link.told == [1005]
            assert not link.connection.peer_closed

    run(scenario())
