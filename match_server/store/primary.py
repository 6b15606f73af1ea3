"""The primary: the one server among several that takes writes now. Connections ask it where to go, and whether to send.

A server that was the primary and does not know that another has taken its place still takes writes, and loses them. So
a connection sends only while it leads to the primary that was last found, and only until the time at which that has to
be confirmed anew (decision 0014).
"""

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

import structlog
from redis import exceptions

if TYPE_CHECKING:
    from redis.asyncio.connection import Connection

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.25


class Address(NamedTuple):
    """Where a server is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class WrongForGood(exceptions.ResponseError):
    """Waiting does not help: a setting is wrong."""


class Primary(ABC):
    """Where the primary is. `run` keeps that up to date; `look` finds it once."""

    def __init__(self) -> None:
        self._due = asyncio.Event()
        self._address: Address | None = None
        self._confirmed_until = 0.0  # of the monotonic clock
        self._unknown: exceptions.RedisError = exceptions.ConnectionError("nobody has looked for the primary yet")
        self._connections: WeakSet[Connection] = WeakSet()

    @abstractmethod
    async def look(self) -> None:
        """Find the primary; end with `_confirm` or `_doubt`. Raises nothing."""

    async def run(self) -> None:
        """Look four times a second, and when a connection was told to look. Runs until it is cancelled."""
        while True:
            self._due.clear()
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._due.wait()

    def look_soon(self) -> None:
        """A server said that it is not the primary: do not wait for the next look."""
        self._due.set()

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections that it looks with."""

    def address(self) -> Address:
        """Where the primary is. Raises RedisError, with the reason, while that is not certain."""
        if self._address is None or time.monotonic() >= self._confirmed_until:
            raise self._unknown
        return self._address

    def check(self, address: Address) -> None:
        """Raise RedisError unless the server at this address is certainly the primary."""
        if address != self.address():
            raise exceptions.ConnectionError(f"{address} is not the primary any more")

    def connected(self, connection: "Connection") -> None:
        """Note a connection to the primary: it is closed when another server takes its place."""
        self._connections.add(connection)

    def _confirm(self, address: Address, *, until: float) -> None:
        """`until` is of the monotonic clock."""
        before, self._address = self._address, address
        self._confirmed_until = until
        self._unknown = exceptions.ConnectionError(f"nothing confirms that {address} is still the primary")
        if before not in {None, address}:
            log.warning("redis_primary_moved", before=str(before), now=str(address))
            self._close_connections()

    def _doubt(self, reason: exceptions.RedisError) -> None:
        """What was confirmed last holds until its time; afterwards this is the reason why nothing does."""
        self._unknown = reason

    def _close_connections(self) -> None:
        """An old primary that hangs would keep its connections silent, the pub/sub link among them."""
        for connection in self._connections:
            if connection._writer is not None:
                connection._writer.transport.abort()
        self._connections = WeakSet()
