"""Puts a pool's keys back as an earlier look found them."""

from collections.abc import Callable
from typing import Any

from tests.shared.look import Contents

Redis = Callable[..., Any]  # runs one command, given in its parts

_HASHES = (
    "nodes:info",
    "active:",
    "clock",
    "events:lost",
    "feeds",
    "left:",
    "loading:",
    "player:",
    "reserved:",
    "rules",
    "server:",
    "servers:free",
    "ticket:",
)


def write(redis: Redis, prefix: str, contents: Contents) -> None:
    for key, value in contents.items():
        name = prefix + key
        if isinstance(value, int):  # a feed: its readers notice that it is gone
            continue
        if isinstance(value, str):
            redis("SET", name, value)
        elif isinstance(value, list):
            redis("SADD", name, *value)
        elif key.startswith(_HASHES):
            redis("HSET", name, *(part for pair in value.items() for part in pair))
        else:
            redis("ZADD", name, *(part for member, score in value.items() for part in (score, member)))
