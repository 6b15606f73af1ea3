"""Who closed a WebSocket, with which code, and how long that may take. On virtual time."""

import asyncio

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from match_server.errors import CloseCode
from match_server.web.problems import problem
from match_server.web.websocket_protocol import PlayerConnection
from tests.unit.virtual_time import run, until_quiet
from tests.unit.websocket_link import Link, opened


def test_our_close_is_told_to_the_application_at_once_and_to_the_client() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.connection.close(CloseCode.TAKEN_OVER)
            await until_quiet()
            assert link.told == [4000]
            link.connection.send_frame(b"after the close")
            link.connection.close(CloseCode.INTERNAL)
            await link.exchange()
            assert link.client.close_rcvd
            assert link.client.close_rcvd.code == 4000
            assert link.texts() == []
            assert link.told == [4000]
            assert not link.connection.peer_closed
            assert link.transport.closing
            assert not link.transport.aborted

    run(scenario())


def test_a_peer_that_does_not_answer_our_close_is_aborted_soon() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.connection.close(CloseCode.POLICY)
            await asyncio.sleep(4.9)
            assert not link.transport.lost
            await asyncio.sleep(0.2)
            assert link.transport.aborted

    run(scenario())


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4321, None])
def test_a_close_that_the_peer_began_is_known_as_such(code: int | None) -> None:
    async def scenario() -> None:
        async with opened() as link:
            if code is None:
                link.client.send_close()
            else:
                link.client.send_close(code)
            await link.exchange()
            assert link.connection.peer_closed
            assert link.told == [code or 1005]
            assert link.transport.lost

    run(scenario())


def test_a_cut_link_is_not_a_close_that_the_peer_began() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.transport.reset()
            await until_quiet()
            assert not link.connection.peer_closed
            assert link.told == [1005]

    run(scenario())


def test_a_peer_that_ends_its_stream_without_a_close_frame_did_not_begin_a_close() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.connection.eof_received()
            link.transport.close()
            await until_quiet()
            assert not link.connection.peer_closed

    run(scenario())


def test_when_both_begin_ours_counts() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.client.send_close(1000)  # on its way
            link.connection.close(CloseCode.TAKEN_OVER)
            await link.exchange()
            assert not link.connection.peer_closed
            assert link.told == [4000]

    run(scenario())


def test_shutdown_says_1012_and_does_not_wait_long_for_who_does_not_read() -> None:
    async def scenario() -> None:
        async with opened() as reader, opened() as stuck:
            stuck.transport.peer_reads = False
            for link in (reader, stuck):
                link.connection.shutdown()
            await reader.exchange()
            assert reader.client.close_rcvd
            assert reader.client.close_rcvd.code == 1012
            assert (reader.told, reader.connection.peer_closed) == ([1012], False)
            assert reader.transport.lost
            assert not reader.transport.aborted
            await asyncio.sleep(1.1)
            assert stuck.transport.aborted
            assert stuck.told == [1012]

    run(scenario())


def test_shutdown_leaves_a_handshake_under_way_to_the_application(caplog: pytest.LogCaptureFixture) -> None:
    """Which refuses it, as this node is stopping."""

    async def refuse(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await problem(503, "this node is stopping").as_denial(send)

    async def scenario() -> None:
        config = uvicorn.Config(refuse, ws=PlayerConnection, lifespan="off", log_config=None)
        config.load()
        link = Link(config)
        link.connection.connection_made(link.transport)
        link.client.send_request(link.client.connect())
        link.connection.data_received(b"".join(link.client.data_to_send()))
        link.connection.shutdown()
        await until_quiet()
        assert link.transport.take().startswith(b"HTTP/1.1 503 ")
        assert link.transport.lost

    run(scenario())
    assert caplog.text == ""


def test_a_close_from_a_peer_that_reads_nothing_does_not_prolong_a_stop() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.transport.peer_reads = False
            link.connection.shutdown()
            link.client.send_close(1000)
            await link.flush()
            await asyncio.sleep(1.1)
            assert link.transport.aborted

    run(scenario())


@pytest.mark.parametrize("end", ["node", "peer", "stop"])
def test_no_timer_outlives_its_connection(end: str) -> None:
    async def scenario() -> None:
        async with opened() as link:
            match end:
                case "node":
                    link.connection.close(CloseCode.TAKEN_OVER)
                case "peer":
                    link.client.send_close(1000)
                case "stop":
                    link.connection.shutdown()
            await link.exchange()
            assert link.transport.lost
            await asyncio.sleep(200)
            assert not link.transport.aborted
            assert not link.transport.aborted_when_lost

    run(scenario())
