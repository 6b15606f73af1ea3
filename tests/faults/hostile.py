"""A WebSocket client that does what it should not, and what a process looks like from outside."""

import asyncio
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.shared.node import Node

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
_MASK = b"\x00\x00\x00\x00"  # masked, as a client must, and the payload stays what it is

UPGRADE = (
    b"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """One whole frame."""
    size = len(payload)
    head = bytes([0x80 | opcode])
    if size < 126:
        return head + bytes([0x80 | size]) + _MASK + payload
    if size < 65536:
        return head + b"\xfe" + size.to_bytes(2, "big") + _MASK + payload
    return head + b"\xff" + size.to_bytes(8, "big") + _MASK + payload


class Hostile:
    """A connection that reads only when told to, into a receive buffer of a few kilobytes."""

    def __init__(self, node: Node) -> None:
        self._port = node.port
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self._port))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    async def upgrade(self) -> None:
        """The handshake, as it should be."""
        await self.send(UPGRADE)
        answer = await self.read()
        assert answer.startswith(b"HTTP/1.1 101"), answer

    async def send(self, data: bytes) -> None:
        """Raises OSError once the connection is gone."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def send_for_ever(self, data: bytes) -> None:
        """Raises OSError once the connection is gone."""
        while True:
            await self.send(data)

    async def read(self) -> bytes:
        """What has come; empty at the end of the connection."""
        try:
            return await asyncio.get_running_loop().sock_recv(self.socket, 65536)
        except ConnectionError:
            return b""

    async def close_code(self) -> int:
        """The code that the server closes with; every frame before it is skipped. 1006: it sent none."""
        data = b""
        while chunk := await self.read():
            data += chunk
            while len(data) >= 4:
                opcode, size = data[0] & 0x0F, data[1]
                start = 4 if size == 126 else 2
                end = start + (int.from_bytes(data[2:4], "big") if size == 126 else size)
                if len(data) < end:
                    break
                if opcode == CLOSE:
                    return int.from_bytes(data[start : start + 2], "big")
                data = data[end:]
        return 1006


def memory_mb(node: Node) -> float:
    """What the node's process holds in memory."""
    pages = int(Path(f"/proc/{node.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def descriptors(node: Node) -> int:
    """How many files and sockets the node's process has open."""
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))
