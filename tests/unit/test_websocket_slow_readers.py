"""Peers of a WebSocket that do not read: what lies there for them is bounded. On virtual time."""

import asyncio

import pytest
from websockets.frames import Opcode

from match_server.errors import CloseCode
from tests.unit.virtual_time import run, until_quiet
from tests.unit.websocket_link import opened

LIMIT_BYTES = 256 * 1024


def test_a_slow_reader_is_cut_off_with_1013_once_its_buffer_is_over_the_limit() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.transport.peer_reads = False
            frame = b"x" * 1000
            for _ in range(250):
                link.connection.send_frame(frame)
            await until_quiet()
            assert link.told == []
            for _ in range(1000):
                link.connection.send_frame(frame)
            await until_quiet()
            assert link.told == [1013]
            assert link.transport.unread < LIMIT_BYTES + 18 * len(frame)  # sixteen go out together
            await asyncio.sleep(5.1)
            assert link.transport.aborted
            assert not link.connection.peer_closed

    run(scenario())


def test_a_reader_that_keeps_up_is_not_cut_off() -> None:
    async def scenario() -> None:
        async with opened() as link:
            for _ in range(1000):
                link.connection.send_frame(b"x" * 1000)
            await link.exchange()
            assert len(link.texts()) == 1000
            assert link.told == []

    run(scenario())


def test_pings_are_answered_but_a_flood_of_them_from_a_peer_that_does_not_read_is_aborted() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.client.send_ping(b"hello")
            await link.exchange()
            assert [bytes(frame.data) for frame in link.received if frame.opcode is Opcode.PONG] == [b"hello"]
            link.transport.peer_reads = False
            for _ in range(20_000):
                if link.transport.lost:
                    break
                link.client.send_ping(b"x" * 100)
                for data in link.client.data_to_send():
                    link.connection.data_received(data)
            assert link.transport.aborted
            assert link.transport.unread < LIMIT_BYTES + 200
            await until_quiet()
            assert link.told == [1005]

    run(scenario())


@pytest.mark.parametrize("who", ["peer", "server"])
def test_a_peer_that_closes_but_never_reads_what_lies_there_is_freed(who: str) -> None:
    """The transport's close waits for its buffer; nobody else would ever end this connection."""

    async def scenario() -> None:
        async with opened() as link:
            link.transport.peer_reads = False
            link.connection.send_frame(b"x" * 1000)
            if who == "server":
                link.connection.close(CloseCode.TAKEN_OVER)
            link.client.send_close(1000)
            await link.flush()
            await asyncio.sleep(60)
            assert link.transport.lost

    run(scenario())
