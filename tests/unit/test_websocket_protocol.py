"""One WebSocket on a transport that the test holds: what uvicorn's protocol was taught. On virtual time."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from match_server.errors import CloseCode
from match_server.web.websocket_protocol import SCOPE_KEY, HttpConnection, PlayerConnection
from tests.unit.virtual_time import run, until_quiet

LIMIT_BYTES = 256 * 1024
PING_INTERVAL, PING_TIMEOUT = 20.0, 7.0


class FakeTransport(asyncio.Transport):
    """As asyncio's: `close` waits until the peer has read everything, `abort` does not."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.sent = bytearray()
        self.writes = 0
        self.peer_reads = True
        self.unread = 0
        self.closing = self.aborted = self.lost = self.reading_paused = self.wrote_eof = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("203.0.113.9", 4711), "sockname": ("127.0.0.1", 8080)}.get(name, default)

    def write(self, data: Any) -> None:
        if self.lost:
            return
        self.sent += data
        self.writes += 1
        if not self.peer_reads:
            self.unread += len(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.wrote_eof = True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.unread:
            self._lose()

    def abort(self) -> None:
        self.closing = True
        if not self.lost:
            self.aborted = True
            self._lose()

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def _lose(self, error: Exception | None = None) -> None:
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)

    def reset(self) -> None:
        """The peer is gone."""
        self._lose(ConnectionResetError())

    def take(self) -> bytes:
        data, self.sent = bytes(self.sent), bytearray()
        return data


class Link:
    """A connection after its handshake: its server side, what the application got, and a client."""

    def __init__(self, config: uvicorn.Config) -> None:
        self.events: list[Any] = []
        self.scope: Scope = {}
        self.connection = PlayerConnection(config, ServerState(), {}, asyncio.get_running_loop())
        self.transport = FakeTransport(self.connection)
        self.client = ClientProtocol(parse_uri("ws://node/ws/"), max_size=None)
        self.received: list[Frame] = []

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await receive()
        await send({"type": "websocket.accept"})
        while not self.told:
            self.events.append(await receive())

    async def open(self) -> None:
        self.connection.connection_made(self.transport)
        self.client.send_request(self.client.connect())
        await self.flush()
        assert self.client.state.name == "OPEN"

    async def flush(self) -> None:
        """Carry to and fro, as far as the client reads."""
        for data in self.client.data_to_send():
            if data and not self.transport.lost:
                self.connection.data_received(data)
        await until_quiet()
        if self.transport.peer_reads and (data := self.transport.take()):
            self.client.receive_data(data)
            self.received += [event for event in self.client.events_received() if isinstance(event, Frame)]

    async def exchange(self) -> None:
        """Until nobody has anything to say."""
        for _ in range(4):
            await self.flush()

    @property
    def told(self) -> list[int]:
        """The close codes that the application was told."""
        return [event["code"] for event in self.events if event["type"] == "websocket.disconnect"]

    def texts(self) -> list[bytes]:
        return [bytes(frame.data) for frame in self.received if frame.opcode is Opcode.TEXT]


@asynccontextmanager
async def opened() -> AsyncIterator[Link]:
    link: Link

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await link.app(scope, receive, send)

    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        ws_max_size=4096,
        ws_ping_interval=PING_INTERVAL,
        ws_ping_timeout=PING_TIMEOUT,
        ws_per_message_deflate=False,
    )
    config.load()
    link = Link(config)
    await link.open()
    yield link
    link.transport.abort()
    await until_quiet()


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
            assert len(link.connection.frames) <= 256

    run(scenario())


# --- closing ---


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


# --- peers that do not read ---


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


# --- keepalive ---


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


def test_no_timer_outlives_its_connection() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.connection.close(CloseCode.TAKEN_OVER)
            await link.exchange()
            await asyncio.sleep(200)
            assert not link.transport.aborted

    run(scenario())


# --- what is not WebSocket's, or too much ---


def send_raw(link: Link, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
    link.connection.data_received(Frame(opcode, data, fin=fin).serialize(mask=True))


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


def test_a_character_split_over_fragments_is_no_invalid_utf8() -> None:
    async def scenario() -> None:
        async with opened() as link:
            euro = "€".encode()
            send_raw(link, Opcode.TEXT, euro[:1], fin=False)
            send_raw(link, Opcode.CONT, euro[1:])
            await link.exchange()
            assert [event.get("text") for event in link.events] == ["€"]

    run(scenario())


def test_invalid_utf8_after_our_close_is_ignored() -> None:
    async def scenario() -> None:
        async with opened() as link:
            link.connection.close(CloseCode.TAKEN_OVER)
            send_raw(link, Opcode.TEXT, b"\xff")
            await link.exchange()
            assert link.told == [4000]

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


def test_binary_frames_reach_the_application_which_refuses_them() -> None:
    async def scenario() -> None:
        async with opened() as link:
            send_raw(link, Opcode.BINARY, b"\xff\x00")
            await link.exchange()
            assert [event.get("bytes") for event in link.events] == [b"\xff\x00"]

    run(scenario())


# --- before the upgrade ---


@asynccontextmanager
async def http_connection() -> AsyncIterator[tuple[HttpConnection, FakeTransport]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_keep_alive=100)
    config.load()
    connection = HttpConnection(config, ServerState(), {}, asyncio.get_running_loop())
    transport = FakeTransport(connection)
    connection.connection_made(transport)
    yield connection, transport
    transport.abort()
    await until_quiet()


def test_a_connection_that_never_says_anything_is_closed() -> None:
    async def scenario() -> None:
        async with http_connection() as (_, transport):
            await asyncio.sleep(9.9)
            assert not transport.lost
            await asyncio.sleep(0.2)
            assert transport.aborted

    run(scenario())


def test_a_request_that_drips_in_is_closed_however_steadily_it_drips() -> None:
    async def scenario() -> None:
        async with http_connection() as (connection, transport):
            connection.data_received(b"GET / HTTP/1.1\r\nHost: node\r\n")
            for _ in range(30):
                if not transport.lost:
                    connection.data_received(b"X: y\r\n")
                await asyncio.sleep(0.5)
            assert transport.aborted

    run(scenario())


def test_each_request_of_a_kept_connection_has_its_own_deadline() -> None:
    async def scenario() -> None:
        async with http_connection() as (connection, transport):
            for _ in range(3):
                connection.data_received(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
                await asyncio.sleep(15)
                assert not transport.lost
            connection.data_received(b"GET / HTTP/1.1\r\n")
            await asyncio.sleep(10.1)
            assert transport.aborted

    run(scenario())
