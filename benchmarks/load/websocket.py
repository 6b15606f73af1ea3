"""A minimal WebSocket client (RFC 6455) as an asyncio protocol: text frames, pings, the close. Nothing else.

Made to cost little, so that the load generator is not what is measured. Its masking key is always zero: legal in
form, the same work for the server, and no work here. Do not use it beyond loopback.
"""

import asyncio
import base64
import os
from typing import NamedTuple, cast

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_NO_MASK = b"\0\0\0\0"
_ABNORMAL = 1006


class Frames(NamedTuple):
    """Whole frames (opcode and payload), and the bytes behind them that are not a whole frame yet."""

    frames: list[tuple[int, bytes]]
    rest: bytes


def split_frames(data: bytes) -> Frames:
    """Cut a server's bytes into frames. Fragments and masked frames are not expected: the service sends neither."""
    frames: list[tuple[int, bytes]] = []
    start, end = 0, len(data)
    while end - start >= 2:
        length, body = data[start + 1], start + 2
        if length == 126:
            length, body = int.from_bytes(data[start + 2 : start + 4]), start + 4
        elif length == 127:
            length, body = int.from_bytes(data[start + 2 : start + 10]), start + 10
        if end < body + length:
            break
        frames.append((data[start] & 0x0F, data[body : body + length]))
        start = body + length
    return Frames(frames, data[start:])


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame, with the key 0."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, 0x80 | length)) + _NO_MASK + payload
    return bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2) + _NO_MASK + payload


def text_frame(payload: bytes) -> bytes:
    """A text message, ready to be written."""
    return client_frame(_TEXT, payload)


class WebSocketClient(asyncio.Protocol):
    """One connection. Subclasses take `on_open`, `on_text` and `on_lost`."""

    def __init__(self, address: str, path: str) -> None:
        """`address` is host:port, for the one that dials."""
        self.address = address
        key = base64.b64encode(os.urandom(16)).decode()
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._rest = b""
        self.open = False
        self.close_code = 0  # 0 while open
        self.transport = cast("asyncio.Transport", None)

    def on_open(self) -> None:
        """The handshake is done."""

    def on_text(self, payload: bytes) -> None:
        """A message has come."""

    def on_lost(self) -> None:
        """The connection has ended; `close_code` says how."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        if not self.open:
            data = self._handshake(data)
            if not self.open:
                return
        frames, self._rest = split_frames(self._rest + data if self._rest else data)
        for opcode, payload in frames:
            if opcode == _TEXT:
                self.on_text(payload)
            elif opcode == _PING:
                self.transport.write(client_frame(_PONG, payload))
            elif opcode == _CLOSE:
                self.close_code = int.from_bytes(payload[:2]) if payload else 1005
                self.transport.write(client_frame(_CLOSE, payload[:2]))
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Say so."""
        self.open = False
        self.close_code = self.close_code or _ABNORMAL
        self.on_lost()

    def close(self) -> None:
        """Begin the closing handshake."""
        if self.open:
            self.transport.write(client_frame(_CLOSE, (1000).to_bytes(2)))

    def _handshake(self, data: bytes) -> bytes:
        self._rest += data
        head, separator, rest = self._rest.partition(b"\r\n\r\n")
        if not separator:
            return b""
        self._rest = b""
        if not head.startswith(b"HTTP/1.1 101"):
            self.transport.abort()
            return b""
        self.open = True
        self.on_open()
        return rest
