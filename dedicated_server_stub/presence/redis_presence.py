"""Presence over Redis, for any number of processes on any number of machines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.presence.interface import Handler, PresenceUnavailable, Write

_log: FilteringBoundLogger = structlog.get_logger()

TIMEOUT_SECONDS = 2.0  # of every command
RETRY_SECONDS = 0.5  # between two attempts to listen
PING_SECONDS = 1.0
SILENT_SECONDS = 3.0  # a link that not even answers pings is given up: a half-open one raises nothing

# A lease and a value in one step: between two, another process could take the lease and write.
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if KEYS[2] then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
return 1
"""

_T = TypeVar("_T")


class RedisPresence:
    """Keeps everything in Redis, in keys and channels that begin with a prefix.

    Args:
        redis: a client whose commands have a timeout, as `connect` makes it.
        prefix: of all keys and channels. Channels know no databases, so two sets of servers on one Redis need two.
    """

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._hold = redis.register_script(_HOLD)
        self._handlers: dict[str, Handler] = {}
        self._changed = asyncio.Event()  # other channels are wanted than before
        self._down = False

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, *, prefix: str) -> AsyncIterator["RedisPresence"]:
        """Make one for a URL of `redis://`, `rediss://` or `unix://`; the first command connects."""
        redis = Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",  # whoever reads the text refuses it; an exception here would end all rooms
            socket_timeout=None,  # `_answer` has one; redis-py's own can swallow a cancellation on Python 3.11
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),  # callers and `run` try again themselves
        )
        async with redis:
            yield cls(redis, prefix=prefix)

    # --- channels ---

    async def run(self) -> None:
        """Listen, and begin anew when the link breaks."""
        while True:
            try:
                async with self._redis.pubsub() as link:
                    await self._listen(link)
            except* (RedisError, OSError) as errors:
                if not self._down:
                    self._down = True
                    _log.warning("presence_unavailable", reason=str(errors.exceptions[0]))
            await asyncio.sleep(RETRY_SECONDS)

    def subscribe(self, channel: str, handler: Handler) -> None:
        """Take the handler of a channel; there is one."""
        self._handlers[self._prefix + channel] = handler
        self._changed.set()

    def unsubscribe(self, channel: str) -> None:
        """Forget the handler of a channel."""
        self._handlers.pop(self._prefix + channel, None)
        self._changed.set()

    async def publish(self, channel: str, message: str) -> None:
        """Send a message."""
        await _answer(self._redis.publish(self._prefix + channel, message))

    async def _listen(self, link: PubSub) -> None:
        first = self._prefix + "link"  # until a link has subscribed to something, it is no link for messages
        await link.subscribe(first)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(link))
            tasks.create_task(self._follow_channels(link, {first}))

    async def _follow_channels(self, link: PubSub, subscribed: set[str]) -> None:
        """Subscribe to what has handlers, and ping."""
        always = frozenset(subscribed)
        while True:
            self._changed.clear()
            wanted = {*self._handlers, *always}
            if new := wanted - subscribed:
                await link.subscribe(*new)
            if old := subscribed - wanted:
                await link.unsubscribe(*old)
            subscribed = wanted
            await link.ping()
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_SECONDS):
                    await self._changed.wait()

    async def _read(self, link: PubSub) -> None:
        while (message := await link.get_message(timeout=SILENT_SECONDS)) is not None:
            if self._down:
                self._down = False
                _log.info("presence_back")
            handler = self._handlers.get(message["channel"]) if message["type"] == "message" else None
            if handler is not None:  # else unsubscribed while it was on its way
                handler(message["data"])
        raise TimeoutError("Redis does not answer")

    # --- keys ---

    async def set(self, key: str, value: str, *, seconds: float) -> None:
        """Write a key."""
        await _answer(self._redis.set(self._prefix + key, value, px=_ms(seconds)))

    async def get(self, key: str) -> str | None:
        """Read a key."""
        return cast("str | None", await _answer(self._redis.get(self._prefix + key)))

    async def hash_set(self, key: str, field: str, value: str) -> None:
        """Write a field of a hash."""
        await _answer(self._redis.hset(self._prefix + key, field, value))

    async def hash_get_all(self, key: str) -> dict[str, str]:
        """Read a hash."""
        return await _answer(cast("Awaitable[dict[str, str]]", self._redis.hgetall(self._prefix + key)))

    async def hash_delete(self, key: str, field: str) -> None:
        """Delete a field of a hash."""
        await _answer(self._redis.hdel(self._prefix + key, field))

    async def hold(self, lease: str, owner: str, *, seconds: float, write: Write | None = None) -> bool:
        """Take or renew a lease."""
        keys = [self._prefix + lease]
        arguments: list[str | int] = [owner, _ms(seconds)]
        if write is not None:
            keys.append(self._prefix + write.key)
            arguments += [write.value, _ms(write.seconds)]
        return bool(await _answer(self._hold(keys=keys, args=arguments)))


def _ms(seconds: float) -> int:
    return max(1, round(1000 * seconds))


async def _answer(command: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await command
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        raise PresenceUnavailable(str(error) or type(error).__name__) from error
