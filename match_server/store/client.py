"""Connections to Redis, with every automatic retry off: a re-sent command could run a script again unseen."""

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import hiredis
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from match_server.config import REDIS_SCHEMES
from match_server.errors import StoreUnavailable

_PASSWORD_IN_QUERY = re.compile(r"([?&](?:ssl_)?password=)[^&]*")
_SOCKET_TIMEOUT_SECONDS = 1.5
_CONNECT_TIMEOUT_SECONDS = 1.0
_MAX_CONNECTIONS = 64


class _OurConnection(AbstractConnection):
    """A connection whose sends and reads end in time, and which packs commands in C.

    redis-py's own `socket_timeout` has each send wait in `asyncio.wait_for`. That makes it a task, and on Python 3.11
    it swallows a cancellation that comes while the send ends (python/cpython#86296): a task that is
    cancelled once, as all are when a node stops, would go on for ever.
    """

    def pack_command(self, *arguments: Any) -> list[bytes]:
        """As redis-py's, in an eighth of the time: it joins a command part by part, in Python (decision 0009)."""
        words = arguments[0].split()  # `SCRIPT LOAD` is two
        return [hiredis.pack_command((*words, *arguments[1:]))]

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        """As redis-py's; but where uvloop has closed the transport under it, which it says by a RuntimeError."""
        transport = self._writer.transport if self._writer else None
        try:
            async with asyncio.timeout(_SOCKET_TIMEOUT_SECONDS):
                await super().send_packed_command(*arguments, **options)
        except TimeoutError:
            raise exceptions.TimeoutError(f"Redis takes nothing for {_SOCKET_TIMEOUT_SECONDS:g} s") from None
        except RuntimeError:
            if transport is None or not transport.is_closing():
                raise
            raise exceptions.ConnectionError("Redis closed the link") from None

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """As redis-py's."""
        try:
            async with asyncio.timeout(_SOCKET_TIMEOUT_SECONDS):
                return await super().read_response(*arguments, **options)
        except TimeoutError:
            raise exceptions.TimeoutError(f"Redis says nothing for {_SOCKET_TIMEOUT_SECONDS:g} s") from None


class _Tcp(_OurConnection, Connection):
    """`redis://`."""


class _Tls(_OurConnection, SSLConnection):
    """`rediss://`."""


class _Unix(_OurConnection, UnixDomainSocketConnection):
    """`unix://`."""


_OURS = {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def check_url(url: str) -> None:
    """Raise ValueError unless this is the URL of a Redis that the store can use."""
    if not url.startswith(REDIS_SCHEMES):
        raise ValueError(f"expected {', '.join(REDIS_SCHEMES)}, not {urlsplit(url).scheme or 'no scheme'}")


def redact(url: str) -> str:
    """The URL without its password, for logs; redis-py takes one in the query, too."""
    url = _PASSWORD_IN_QUERY.sub(r"\1***", url)
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


def connect(url: str) -> Redis:
    """A client for one Redis. It connects when first used.

    RESP2, since redis-py's maintenance notifications on RESP3 can shift the replies of a pooled connection.
    """
    check_url(url)
    pool = BlockingConnectionPool.from_url(  # a burst of operators' reads waits for its turn
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=_SOCKET_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS,
    )
    pool.connection_class = _OURS[pool.connection_class]
    # Behind the URL, whose query would win. For the timeout see _OurConnection.
    pool.connection_kwargs |= {"protocol": 2, "socket_timeout": None}
    return Redis.from_pool(pool)  # which closes with the client


def dedicated_connection(client: Redis) -> Connection:
    """A connection outside the pool, for the subscriber; it is not connected yet."""
    connection: Connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it so
    return connection


async def command(client: Redis, *arguments: Any) -> Any:
    """Send one command, and return its reply as Redis gave it.

    Raises:
        StoreUnavailable: Redis gave no answer.
    """
    try:
        return await client.execute_command(*arguments)  # type: ignore[no-untyped-call]  # redis-py leaves it so
    except (exceptions.RedisError, OSError) as error:
        raise StoreUnavailable(str(error)) from error
