"""One WebSocket on a transport that the test holds: the service's protocol, and a client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from match_server.web.websocket_protocol import PlayerConnection
from tests.unit.virtual_time import until_quiet

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
        self.aborted_when_lost = False

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast("asyncio.Protocol", protocol)

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
        if self.lost:
            self.aborted_when_lost = True
        else:
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
        ws=PlayerConnection,
        lifespan="off",
        log_config=None,
        ws_max_size=4096,
        ws_ping_interval=PING_INTERVAL,
        ws_ping_timeout=PING_TIMEOUT,
    )
    config.load()
    link = Link(config)
    await link.open()
    yield link
    link.transport.abort()
    await until_quiet()


def send_raw(link: Link, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
    link.connection.data_received(Frame(opcode, data, fin=fin).serialize(mask=True))
