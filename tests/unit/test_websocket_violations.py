"""What is not WebSocket's, or too much of it, is closed with its code. On virtual time."""

import asyncio
import logging

import pytest
from websockets.frames import Close, Frame, Opcode

from match_server.errors import CloseCode
from tests.unit.virtual_time import run, until_quiet
from tests.unit.websocket_link import opened, send_raw


def test_a_message_of_endlessly_many_empty_parts_is_closed() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.client.send_text(b'{"type":"p', fin=False)
            link.client.send_continuation(b'ing"}', fin=True)
            await link.exchange()
            assert [event["text"] for event in link.events] == ['{"type":"ping"}']
            link.client.send_text(b"", fin=False)
            for _ in range(1000):
                link.client.send_continuation(b"", fin=False)
            await link.exchange()
            assert link.told == [1008]
            assert len(link.connection.message_parts.parts) <= 256

    run(scenario())


@pytest.mark.parametrize("fragmented", [False, True])
def test_invalid_utf8_is_1007_and_no_traceback(fragmented: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with opened() as link:
            if fragmented:
                send_raw(link, Opcode.TEXT, b"\xe2\x82", fin=False)
                send_raw(link, Opcode.CONT, b"\x28")
            else:
                send_raw(link, Opcode.TEXT, b"\xff\xfe")
            await link.exchange()
            assert link.told == [1007]
            assert link.client.close_rcvd
            assert link.client.close_rcvd.code == 1007
            assert not link.connection.peer_closed
            assert link.transport.wrote_eof, "the peer reads the close frame before the connection goes"

    with caplog.at_level(logging.INFO):
        run(scenario())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info] == []


def test_invalid_utf8_after_our_close_is_ignored() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.connection.close(CloseCode.TAKEN_OVER)
            send_raw(link, Opcode.TEXT, b"\xff")
            await link.exchange()
            assert link.told == [4000]

    run(scenario())


@pytest.mark.parametrize("code", [1000, 4321, None])
def test_a_close_between_the_parts_of_a_message_is_a_close_like_any_other(code: int | None) -> None:
    """RFC 6455, 5.4: control frames may come between them."""

    async def scenario() -> None:
        async with opened() as link:
            send_raw(link, Opcode.TEXT, b'{"type":"p', fin=False)
            send_raw(link, Opcode.CLOSE, b"" if code is None else Close(code, "bye").serialize())
            await link.exchange()
            assert link.told == [code or 1005]
            assert link.connection.peer_closed
            assert link.client.close_rcvd
            assert link.client.close_rcvd.code == (code or 1005)
            assert link.transport.lost

    run(scenario())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (Frame(Opcode.TEXT, b"x" * 4097).serialize(mask=True), 1009),
        (Frame(Opcode.TEXT, b"not masked").serialize(mask=False), 1002),
        (Frame(Opcode.CONT, b"of nothing").serialize(mask=True), 1002),
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
)
@pytest.mark.parametrize("reads", [True, False])
def test_what_breaks_the_rules_is_closed_with_its_code_and_freed(data: bytes, code: int, reads: bool) -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.transport.peer_reads = reads
            if not reads:
                link.connection.send_frame(b"x" * 1000)
            link.connection.data_received(data)
            await until_quiet()
            assert link.told == [code]
            assert not link.connection.peer_closed
            await asyncio.sleep(6)
            assert link.transport.lost

    run(scenario())
