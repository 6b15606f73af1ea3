"""Frames on one WebSocket, both ways. On virtual time."""

from websockets.frames import Opcode

from match_server.web.websocket_protocol import SCOPE_KEY
from tests.unit.virtual_time import run, until_quiet
from tests.unit.websocket_link import opened, send_raw


def test_the_application_finds_the_connection_in_its_scope() -> None:
    async def scenario() -> None:
        async with opened() as link:
            assert link.scope["extensions"][SCOPE_KEY] is link.connection

    run(scenario())


def test_frames_arrive_both_ways() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.connection.send_frame(b'{"type":"queued"}')
            link.client.send_text(b'{"type":"ping"}')
            await link.exchange()
            assert link.texts() == [b'{"type":"queued"}']
            assert [event["text"] for event in link.events] == ['{"type":"ping"}']
            assert not link.transport.reading_paused

    run(scenario())


def test_frames_of_one_turn_go_out_in_one_write_and_a_close_behind_them() -> None:
    async def scenario() -> None:
        async with opened() as link:
            await link.exchange()
            before = link.transport.writes
            for text in (b"one", b"two", b"three"):
                link.connection.send_frame(text)
            await link.exchange()
            assert link.texts() == [b"one", b"two", b"three"]
            assert link.transport.writes == before + 1
            link.connection.send_frame(b"four")
            link.connection.close(4000)
            await link.exchange()
            assert link.texts() == [b"one", b"two", b"three", b"four"]
            assert [frame.opcode for frame in link.received][-1] is Opcode.CLOSE

    run(scenario())


def test_a_frame_for_a_peer_that_went_in_the_same_turn_goes_nowhere() -> None:
    async def scenario() -> None:
        async with opened() as link:
            before = link.transport.writes
            link.connection.send_frame(b"too late")
            link.transport.abort()
            await until_quiet()
            assert link.transport.writes == before

    run(scenario())


def test_binary_frames_reach_the_application_which_refuses_them() -> None:
    async def scenario() -> None:
        async with opened() as link:
            send_raw(link, Opcode.BINARY, b"\xff\x00")
            await link.exchange()
            assert [event.get("bytes") for event in link.events] == [b"\xff\x00"]

    run(scenario())


def test_a_character_split_over_fragments_is_no_invalid_utf8() -> None:
    async def scenario() -> None:
        async with opened() as link:
            euro = "€".encode()
            send_raw(link, Opcode.TEXT, euro[:1], fin=False)
            send_raw(link, Opcode.CONT, euro[1:])
            await link.exchange()
            assert [event.get("text") for event in link.events] == ["€"]

    run(scenario())
