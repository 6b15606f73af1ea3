"""Every key of a pool with what it holds but for its time to live, read in one atomic look, or put back."""

from collections.abc import Callable
from typing import Any

Contents = dict[str, Any]  # by the key's name without the prefix
Redis = Callable[..., Any]  # runs one command, given in its parts

_HASHES = ("active:", "clock", "left:", "loading:", "player:", "reserved:", "server:", "servers:")
_READ_EVERYTHING = """
local read = { hash = { 'HGETALL' }, set = { 'SMEMBERS' }, string = { 'GET' } }
read.zset = { 'ZRANGE', 0, -1, 'WITHSCORES' }
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind = redis.call('TYPE', key).ok
  local command = read[kind]
  found[#found + 1] = { key, kind, redis.call(command[1], key, unpack(command, 2)) }
end
return found
"""


def read(redis: Redis, prefix: str) -> Contents:
    found: Contents = {}
    for name, kind, value in redis("EVAL", _READ_EVERYTHING, 0, prefix):
        key = name.removeprefix(prefix)
        if kind in {"hash", "zset"}:
            found[key] = dict(zip(value[::2], value[1::2], strict=True))
        else:
            found[key] = sorted(value) if kind == "set" else value
    return found


def write(redis: Redis, prefix: str, contents: Contents) -> None:
    for key, value in contents.items():
        name = prefix + key
        if isinstance(value, str):
            redis("SET", name, value)
        elif isinstance(value, list):
            redis("SADD", name, *value)
        elif key.startswith(_HASHES):
            redis("HSET", name, *(part for pair in value.items() for part in pair))
        else:
            redis("ZADD", name, *(part for member, score in value.items() for part in (score, member)))
