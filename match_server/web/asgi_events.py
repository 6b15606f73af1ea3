"""What the application of one WebSocket receives by ASGI."""

import asyncio

from starlette.types import Message


class AsgiEvents:
    """The events that wait for the application. While a message is among them, the transport is not read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended = False  # the application has been told of the connection's end
        self.transport: asyncio.Transport  # set once there is one
        self._loop = loop
        self._events: list[Message] = []
        self._waiter: asyncio.Future[None] | None = None  # of the application
        self._reading_paused = False

    async def receive(self) -> Message:
        """Return the next event, once there is one."""
        while not self._events:
            self._waiter = self._loop.create_future()
            await self._waiter
        event = self._events.pop(0)
        if not self._events:
            self._resume_reading()
        return event

    def connected(self) -> None:
        """Tell that a handshake waits for an answer."""
        self._put({"type": "websocket.connect"})

    def message(self, content: str | bytes) -> None:
        """Tell of a message."""
        self._put({"type": "websocket.receive", "text" if isinstance(content, str) else "bytes": content})
        if not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def end(self, code: int, reason: str) -> None:
        """Tell that the connection has ended. The first to say so knows why; later ends are not told."""
        if not self.ended:
            self.ended = True
            self._put({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._resume_reading()

    def _put(self, event: Message) -> None:
        self._events.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
