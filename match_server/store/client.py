"""Connections to Redis, without redis-py's retries: a command that is sent twice could run a script twice unnoticed."""

import asyncio
from collections.abc import Mapping
from typing import Any

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

from match_server.errors import StoreRefuses, StoreUnavailable
from match_server.store.primary import Address, Primary, WrongForGood

_SOCKET_TIMEOUT_SECONDS = 1.5
_CONNECT_TIMEOUT_SECONDS = 1.0
_MAX_CONNECTIONS = 64
# Redis answers so while it cannot work for now; the caller asks again later.
_NOT_NOW = (
    "OOM",
    "READONLY",
    "BUSY ",  # and no BUSYGROUP
    "LOADING",
    "NOREPLICAS",
    "MISCONF",
)

# A server of a cluster answers so when it has not carried out the command: another has the slot, or will have it soon.
ELSEWHERE = (exceptions.AskError, exceptions.TryAgainError, exceptions.ClusterDownError)  # MovedError is an AskError


class _OurConnection(AbstractConnection):
    """A connection with a deadline for each send and read, which packs commands in C.

    redis-py's own `socket_timeout` has each send wait in `asyncio.wait_for`. That makes it a task, and on Python 3.11
    it swallows a cancellation that comes while the send ends (python/cpython#86296): a task that is
    cancelled once, as all are when a node stops, would go on for ever.
    """

    def pack_command(self, *arguments: Any) -> list[bytes]:
        """As redis-py's, which joins a command part by part in Python, and is slower (decision 0009)."""
        words = arguments[0].split()  # `SCRIPT LOAD` is two
        return [hiredis.pack_command((*words, *arguments[1:]))]

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        """As redis-py's; uvloop's RuntimeError for a closed transport becomes a ConnectionError."""
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


class _OverTcp(_OurConnection, Connection):
    """A connection that looks its host up first, and whose deadline does not cancel the lookup.

    uvloop continues a lookup that was cancelled, and asyncio would log its failure each time as never retrieved.
    """

    async def _connect(self) -> None:
        lookup = asyncio.get_running_loop().getaddrinfo(self.host, self.port)
        async with asyncio.timeout(self.socket_connect_timeout):
            (found,) = await asyncio.shield(asyncio.gather(lookup, return_exceptions=True))
        if isinstance(found, BaseException):
            raise found
        await super()._connect()  # type: ignore[no-untyped-call]  # redis-py leaves it so


class _Tcp(_OverTcp):
    """`redis://`."""


class _Tls(_OverTcp, SSLConnection):
    """`rediss://`."""


class _Unix(_OurConnection, UnixDomainSocketConnection):
    """`unix://`."""


class _ToPrimary(_OverTcp):
    """A connection to whichever server is the primary when it connects. It sends nothing to one that may be no more."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        super().__init__(**options)
        self._primary = primary

    async def _connect(self) -> None:
        self.host, self.port = self._primary.address()
        await super()._connect()
        self._primary.connected(self)

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        """As redis-py's. Raises RedisError, and sends nothing, unless this certainly is the primary."""
        self._primary.check(Address(self.host, self.port))
        await super().send_packed_command(*arguments, **options)

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """As redis-py's. An answer that another server is the primary has the next look come soon."""
        try:
            return await super().read_response(*arguments, **options)
        except ELSEWHERE:
            self._primary.look_soon()
            raise


class _TcpToPrimary(_ToPrimary):
    """`redis+sentinel://`."""


class _TlsToPrimary(_ToPrimary, SSLConnection):
    """`rediss+sentinel://`."""


_OURS = {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}
_TO_PRIMARY: Mapping[type[AbstractConnection], type[_ToPrimary]] = {
    Connection: _TcpToPrimary,
    SSLConnection: _TlsToPrimary,
}


def connect(url: str, primary: Primary | None = None) -> Redis:
    """A client for one Redis, or for the `primary` of several; the host in the URL is then not used.

    It connects when first used.

    RESP2, since redis-py's maintenance notifications on RESP3 can shift the replies of a pooled connection.
    """
    pool = BlockingConnectionPool.from_url(  # waits for a free connection when operators read a lot at once
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=_SOCKET_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS,
    )
    # Set last, since the URL's query may set them too. For the timeout see _OurConnection.
    pool.connection_kwargs |= {"protocol": 2, "socket_timeout": None}
    if primary:
        pool.connection_class = _TO_PRIMARY[pool.connection_class]
        pool.connection_kwargs |= {"primary": primary}
    else:
        pool.connection_class = _OURS[pool.connection_class]
    return Redis.from_pool(pool)  # which closes with the client


def dedicated_connection(client: Redis) -> Connection:
    """A connection outside the pool, for the subscriber; it is not connected yet."""
    connection: Connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it so
    return connection


async def command(client: Redis, *arguments: Any) -> Any:
    """Send one command, and return its reply as Redis gave it.

    Raises:
        StoreUnavailable: Redis gave no answer, or cannot work now.
        StoreRefuses: Redis refuses the command, or this user, for good.
    """
    try:
        return await client.execute_command(*arguments)  # type: ignore[no-untyped-call]  # redis-py leaves it so
    except (exceptions.RedisError, OSError) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> StoreUnavailable:
    """The exception for an error of redis-py's, or of a connection; its text says what is wrong with Redis."""
    if isinstance(error.__cause__, exceptions.RedisError):  # met while connecting: redis-py calls all of it connection
        error = error.__cause__
    said = error.args[0] if isinstance(error, exceptions.RedisError) and error.args else error
    if isinstance(error, WrongForGood):
        return StoreRefuses(str(said))
    if isinstance(error, exceptions.AuthenticationError):
        return StoreRefuses(f"Redis refuses the user or the password: {said}")
    if isinstance(error, ELSEWHERE):
        return StoreUnavailable(f"Redis cannot work now: {error.status_code} {said}")
    if is_for_now(error):
        return StoreUnavailable(f"Redis cannot work now: {said}")
    if isinstance(error, exceptions.ResponseError):
        return StoreRefuses(f"Redis refuses: {said}")
    return StoreUnavailable(f"Redis does not answer: {said}")


def is_for_now(error: Exception) -> bool:
    """Whether Redis is there and will work again: it is full, loads its data, or has no primary."""
    kinds = (exceptions.OutOfMemoryError, exceptions.ReadOnlyError, exceptions.BusyLoadingError, *ELSEWHERE)
    return isinstance(error, kinds) or (isinstance(error, exceptions.ResponseError) and str(error).startswith(_NOT_NOW))
