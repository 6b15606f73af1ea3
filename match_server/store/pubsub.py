"""One pub/sub link to Redis. When it breaks, `read` raises, and the reader opens a new link."""

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import hiredis
from redis import exceptions
from redis.asyncio import Redis

from match_server.store.client import dedicated_connection

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from redis.asyncio.connection import Connection

_CHANNELS_PER_COMMAND = 500
_SHARDED = {b"smessage": "message", b"ssubscribe": "subscribe", b"sunsubscribe": "unsubscribe"}
_READ_BYTES = 128 * 1024  # as much as asyncio buffers


class Notice(NamedTuple):
    """What came over the link: `kind` is `message`, `subscribe` (confirmed) or `unsubscribe`."""

    kind: str
    channel: str
    data: bytes


class PubSubLink:
    """A connection that subscribes to exact channels.

    Not redis-py's own `PubSub`: that one reconnects by itself and hides the confirmations, which are the only sign
    that a subscription stands, and the moment to re-read what was missed. redis-py makes the connection, with its
    password and its TLS; hiredis reads from it, since redis-py takes coroutines for each notice (decision 0009).
    """

    def __init__(self, client: Redis, *, sharded: bool = False) -> None:
        """`sharded`: the channels are those of a cluster's slot."""
        self._client = client
        self._sharded = "S" if sharded else ""  # before each command
        self._connection: Connection | None = None
        self._stream: StreamReader
        self._writer: StreamWriter
        self._parser: hiredis.Reader

    @property
    def is_open(self) -> bool:
        """Whether the link has been opened and not closed since."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect. Raises RedisError or OSError."""
        connection = dedicated_connection(self._client)
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it so
        self._stream = connection._reader  # type: ignore[assignment]  # connected: there is one
        self._writer = connection._writer  # type: ignore[assignment]  # likewise
        self._parser = hiredis.Reader(protocolError=exceptions.InvalidResponse, replyError=exceptions.ResponseError)
        self._connection = connection

    async def close(self) -> None:
        """Disconnect; a `read` that waits raises."""
        connection, self._connection = self._connection, None
        if connection:
            # A plain close waits until the peer has taken all unsent data, which a dead peer never does. We use our own
            # writer: redis-py drops its one after a send that took too long.
            self._writer.transport.abort()
            await connection.disconnect(nowait=True)

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Ask for channels, many in one command. Each is confirmed by a notice. Raises RedisError or OSError."""
        await self._send(f"{self._sharded}SUBSCRIBE", channels)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        """Unsubscribe, many in one command. Raises RedisError or OSError."""
        await self._send(f"{self._sharded}UNSUBSCRIBE", channels)

    async def read(self) -> list[Notice]:
        """Wait for notices, and return all that have come.

        Raises RedisError or OSError once the link is broken or closed.
        """
        notices: list[Notice] = []
        while not notices:
            if self._connection is None:
                raise ConnectionError("the link is closed")
            data = await self._stream.read(_READ_BYTES)
            if not data:
                raise ConnectionError("Redis closed the link")
            self._parser.feed(data)
            while (reply := self._parser.gets()) is not False:
                notices.append(_notice(reply))
        return notices

    async def _send(self, command: str, channels: Iterable[str]) -> None:
        remaining = iter(channels)
        while chunk := list(islice(remaining, _CHANNELS_PER_COMMAND)):
            if self._connection is None:
                raise ConnectionError("the link is closed")
            connection = self._connection
            try:
                await connection.send_command(command, *chunk, check_health=False)
            except AttributeError:
                if connection is self._connection:
                    raise
                raise ConnectionError("the link was closed meanwhile") from None  # redis-py drops its writer then


def _notice(reply: Any) -> Notice:
    if isinstance(reply, exceptions.RedisError):
        raise reply
    kind, channel, data = reply
    return Notice(_SHARDED.get(kind) or kind.decode(), channel.decode(), data if isinstance(data, bytes) else b"")
