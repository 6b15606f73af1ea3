"""What a node needs of its Redis, looked at before it uses it: the version, and what the user may do.

What is refused for good (a password, a command, a version) ends the start. A Redis that is not there yet is waited for.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from redis.asyncio import Redis

from match_server.errors import SettingsError, StoreRefuses, StoreUnavailable
from match_server.store.client import command
from match_server.store.scripts import Script

log = structlog.get_logger(__name__)

_SETTING = "MATCH_REDIS_URL"
_OLDEST_VERSION = 7
_RETRY_SECONDS = 1.0
# What Python sends by itself; the scripts' own commands are read from their text.
_SENT = ("EVALSHA", "GET", "PING", "SADD", "SET", "SREM", "SSCAN", "ZRANGE")
_WITH_COUNT = {"EVALSHA": "EVALSHA x 1", "ZINTERCARD": "ZINTERCARD 1"}  # the key stands behind a count
_CALLED = re.compile(r"\b(?:call|gather|gathered_for)\('([A-Z]+)'")  # pcall: what a script can do without
# redis.acl_check_cmd asks of the user who runs the script, and carries nothing out. Each argument is one command; it
# must be complete, for Valkey 9 crashes where the key that it looks for is missing.
_REFUSED = """
if not redis.acl_check_cmd then
  return redis.error_reply('this Redis is too old; version 7 or newer is needed')
end
local refused = {}
for _, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do
    words[#words + 1] = word
  end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if not (known and allowed) then
    refused[#refused + 1] = line
  end
end
return refused
"""


class Requirements:
    """What one node needs of its Redis."""

    def __init__(
        self, redis: Redis, *, prefix: str, channels: str, scripts: Mapping[str, Script], clustered: bool = False
    ) -> None:
        """`channels` is what the names of channels begin with, before the prefix (redis_urls.channel_prefix)."""
        self._clustered = clustered
        self._redis = redis
        self._prefix = prefix
        self._channel_prefix = channels
        self._scripts = scripts

    async def check(self) -> None:
        """Return if the node can work on this Redis.

        Raises:
            SettingsError: Redis refuses something for good; the text says what, in one line.
            StoreUnavailable: Redis is not there, or cannot work now.
        """
        try:
            await self._check_version()
            await self._check_permissions()
        except StoreRefuses as error:
            raise SettingsError(f"{_SETTING}: {error}") from error

    async def run(self) -> None:
        """Check once Redis is there, and log what the node can do without. Raises SettingsError as `check` does."""
        while True:
            try:
                await self.check()
                for warning in await self.warnings():
                    log.warning("redis_evicts", warning=warning)
                for unknown in await self._unknown():
                    log.info("redis_not_readable", unknown=unknown)
                return
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_SECONDS)

    async def warnings(self) -> list[str]:
        """What is wrong with this Redis though a node can work on it.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        policy = await self._eviction_policy()
        if policy in {None, "noeviction"}:
            return []
        return [
            f"Redis deletes keys when its memory is full (maxmemory-policy {policy}): players and matches may vanish;"
            " set maxmemory-policy noeviction"
        ]

    async def _unknown(self) -> list[str]:
        """What this user may not read, and the node therefore cannot know."""
        found = []
        if await self._eviction_policy() is None:
            found.append("whether Redis deletes keys when its memory is full (neither CONFIG GET nor INFO is allowed)")
        if await self._optional("INFO", "server") is None:
            found.append("whether Redis was restarted with older data (INFO is not allowed)")
        return found

    async def _check_version(self) -> None:
        """HELLO tells the version to every user; where it is forbidden, the check of the permissions finds out."""
        hello = await self._optional("HELLO", "2")
        if hello is None:
            return
        said = dict(zip(hello[::2], hello[1::2], strict=True))
        check_version(said[b"version"].decode())
        if said[b"mode"] == b"cluster" and not self._clustered:
            raise SettingsError(
                f"{_SETTING}: this Redis is part of a cluster; write redis+cluster:// instead of redis://"
            )

    async def _check_permissions(self) -> None:
        keys = [self._prefix + key for key in self._named("TOUCHES")]
        verbs = [("HGET", "EXISTS"), ("HSET", "DEL")]  # that a key may be read, and written, by one of two at least
        refused = await self._refused(f"{verb} {key} {key} {key}" for key in keys for verb in sum(verbs, ()))
        if bad := [key for key in keys if any(all(f"{v} {key} {key} {key}" in refused for v in two) for two in verbs)]:
            raise SettingsError(
                f"{_SETTING}: this user of Redis may not use keys such as {bad[0]}; it needs ~{self._prefix}*"
            )
        clock = f"{self._prefix}clock"
        called = {name for script in self._scripts.values() for name in _CALLED.findall(script.text)}
        commands = [_WITH_COUNT.get(name, f"{name} {clock}") + f" {clock} {clock}" for name in called.union(_SENT)]
        if refused := await self._refused(commands):
            names = ", ".join(sorted(line.partition(" ")[0] for line in refused))
            raise SettingsError(f"{_SETTING}: this user of Redis may not run {names}")
        prefix = self._channel_prefix + self._prefix
        channels = [prefix + channel for channel in self._named("SENDS")]
        needed = ("SPUBLISH", "SSUBSCRIBE") if self._clustered else ("PUBLISH", "SUBSCRIBE")
        refused = await self._refused(f"{verb} {name}" for name in channels for verb in needed)
        if refused:
            example = min(refused).split(" ")[1]
            raise SettingsError(
                f"{_SETTING}: this user of Redis may not use channels such as {example};"
                f" it needs +{needed[0].lower()}, +{needed[1].lower()} and &{prefix}*"
            )

    def _named(self, field: str) -> list[str]:
        """An example for each pattern that the headers have in this field."""
        headers = (script.header[field] for script in self._scripts.values())
        patterns = {pattern for header in headers if header != "none" for pattern in header.split()}
        return sorted(pattern.replace("*", "check") for pattern in patterns)

    async def _refused(self, lines: Iterable[str]) -> set[str]:
        """Those of these commands that the user may not run. Raises StoreRefuses if it may not even ask."""
        reply = await command(self._redis, "EVAL", _REFUSED, 0, *lines)
        return {line.decode() for line in reply}

    async def _eviction_policy(self) -> str | None:
        setting = await self._optional("CONFIG", "GET", "maxmemory-policy")
        if setting:
            return str(setting[1].decode())
        memory = await self._optional("INFO", "memory")
        return memory.get("maxmemory_policy") if memory else None

    async def _optional(self, *arguments: Any) -> Any:
        """The reply; None where the user may not run this command, or Redis does not know it."""
        try:
            return await command(self._redis, *arguments)
        except StoreRefuses:
            return None


def check_version(version: str) -> None:
    """Raise SettingsError unless this version of Redis has what the scripts need."""
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < _OLDEST_VERSION:
        raise SettingsError(
            f"{_SETTING}: this Redis is version {version}; version {_OLDEST_VERSION} or newer is needed"
        )
