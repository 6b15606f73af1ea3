"""What is written to a connection in one pass of the event loop leaves the process together."""

import asyncio
from typing import Any

BATCH_BYTES = 1200  # at most, unless one write is larger


class JoinedWrites:
    """A transport: a tick's frames for a client cost one call of the system instead of one each.

    Args:
        transport: where they go; it does everything else.
        loop: that of the transport.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write soon, in order."""
        if self._size + len(data) > BATCH_BYTES:
            self._flush()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)
        self._size += len(data)

    def close(self) -> None:
        """Close once everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        """Nothing is left to do for one that was emptied earlier, or whose peer is gone."""
        if self._waiting and not self._transport.is_closing():
            self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
        self._size = 0
