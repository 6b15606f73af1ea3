"""The load generator's WebSocket client, held against the websockets library."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from benchmarks.load.players import text_field
from benchmarks.load.websocket import WebSocketClient, split_frames, text_frame


def _server_bytes(payloads: list[bytes]) -> bytes:
    return b"".join(Frame(Opcode.TEXT, payload).serialize(mask=False) for payload in payloads)


@given(st.lists(st.binary(max_size=70_000).map(lambda b: b), max_size=5), st.data())
def test_frames_are_cut_wherever_the_bytes_break(payloads: list[bytes], data: st.DataObject) -> None:
    stream = _server_bytes(payloads)
    cut = data.draw(st.integers(0, len(stream)))
    first = split_frames(stream[:cut])
    second = split_frames(first.rest + stream[cut:])
    assert [payload for _, payload in first.frames + second.frames] == payloads
    assert second.rest == b""


class _Client(WebSocketClient):
    def __init__(self, address: str) -> None:
        super().__init__(address, "/ws/")
        self.texts: asyncio.Queue[bytes] = asyncio.Queue()
        self.opened, self.lost = asyncio.Event(), asyncio.Event()

    def on_open(self) -> None:
        self.opened.set()

    def on_text(self, payload: bytes) -> None:
        self.texts.put_nowait(payload)

    def on_lost(self) -> None:
        self.lost.set()


async def _echo(connection: ServerConnection) -> None:
    pong = await connection.ping()
    await pong
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 4000])
def test_a_real_server_understands_it(length: int) -> None:
    async def run() -> None:
        async with serve(_echo, "127.0.0.1", 0, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(lambda: _Client(f"127.0.0.1:{port}"), "127.0.0.1", port)
            await client.opened.wait()
            client.transport.write(text_frame(b"x" * length))
            assert await client.texts.get() == b"x" * length
            client.close()
            await client.lost.wait()
            assert client.close_code == 1000

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_refused_handshake_ends_the_connection() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(lambda: _Client(f"127.0.0.1:{port}"), "127.0.0.1", port)
            await client.lost.wait()
            assert not client.opened.is_set()

    asyncio.run(asyncio.wait_for(run(), 10))


@pytest.mark.parametrize("payload", [b'{"type":"queued","seq":1}', b'{"seq": 1, "type": "queued"}'])
def test_a_field_is_found_in_any_layout(payload: bytes) -> None:
    assert text_field(payload, b'"type":"') == b"queued"
