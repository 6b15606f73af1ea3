"""What a node needs of its Redis: looked at with users who may not do all of it."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
from redis import exceptions
from redis.asyncio import Redis
from structlog.testing import capture_logs

from match_server.errors import SettingsError, StoreRefuses
from match_server.store.client import command, connect
from match_server.store.requirements import Requirements
from tests.shared.redis_server import RedisServer
from tests.store.pool import scripts

PREFIX = "{eu}:"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis that a test may add users to."""
    with RedisServer() as server:
        yield server


def requirements(client: Redis, channel_prefix: str = "") -> Requirements:
    return Requirements(client, prefix=PREFIX, channels=channel_prefix, scripts=scripts())


def check(redis: RedisServer, *rules: str, said: str = "pw", database: int = 0) -> list[dict[str, Any]]:
    """Check as a user with these rules, who said this password. Returns what was logged of it."""
    redis.do("ACL", "SETUSER", "ann", "reset", "on", ">pw", *rules)

    async def scenario() -> None:
        client = connect(f"{redis.url}?username=ann&password={said}&db={database}")
        try:
            await requirements(client).run()
        finally:
            await client.aclose()

    with capture_logs() as logs:
        asyncio.run(scenario())
    return cast("list[dict[str, Any]]", logs)


def test_a_user_who_may_do_all_that_is_needed_is_enough(redis: RedisServer) -> None:
    assert check(redis, f"~{PREFIX}*", f"&{PREFIX}*", "+@all") == []


def test_what_managed_services_forbid_is_not_needed_and_the_log_says_what_is_unknown(redis: RedisServer) -> None:
    lines = check(redis, f"~{PREFIX}*", f"&{PREFIX}*", "+@all", "-@dangerous")

    assert [line["event"] for line in lines] == ["redis_not_readable"] * 2
    assert "INFO is not allowed" in lines[1]["unknown"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["~*", "&*", "+@all", "-@scripting"], r"Redis refuses: .*no permissions to run the 'eval' command"),
        (["~*", "&*", "+@all", "-zadd", "-get"], r"may not run GET, ZADD$"),
        (["~other:*", "&*", "+@all"], r"may not use keys such as \{eu\}:active:check; it needs ~\{eu\}:\*$"),
        (["%R~*", "&*", "+@all"], r"may not use keys such as \{eu\}:active:check; it needs ~\{eu\}:\*$"),
        (
            ["~*", "resetchannels", "+@all"],
            r"may not use channels such as \{eu\}:node:check; it needs \+publish, \+subscribe and &\{eu\}:\*$",
        ),
    ],
    ids=["no scripting", "no commands", "other keys", "keys to read alone", "no channels"],
)
def test_what_is_missing_is_said_in_one_line(redis: RedisServer, rules: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        check(redis, *rules)

    assert str(refused.value).startswith("MATCH_REDIS_URL: ")
    assert "\n" not in str(refused.value)


def test_a_wrong_password_is_called_one(redis: RedisServer) -> None:
    with pytest.raises(SettingsError, match="MATCH_REDIS_URL: Redis refuses the user or the password: "):
        check(redis, "~*", "&*", "+@all", said="wrong")


def test_a_database_that_is_not_there_is_refused(redis: RedisServer) -> None:
    with pytest.raises(SettingsError, match="MATCH_REDIS_URL: Redis refuses: DB index is out of range"):
        check(redis, "~*", "&*", "+@all", database=99)


def test_in_another_database_the_channels_that_are_checked_are_those_that_are_used(redis: RedisServer) -> None:
    redis.do("ACL", "SETUSER", "ann", "reset", "on", ">pw", "~*", f"&{PREFIX}*", "+@all")

    async def scenario() -> None:
        client = connect(f"{redis.url}?username=ann&password=pw&db=1")
        try:
            await requirements(client, "db1:").check()
        finally:
            await client.aclose()

    with pytest.raises(SettingsError, match=r"it needs \+publish, \+subscribe and &db1:\{eu\}:\*$"):
        asyncio.run(scenario())


@pytest.mark.parametrize("may", ["+@all", "-config"], ids=["by CONFIG GET", "by INFO"])
def test_a_policy_that_evicts_is_a_warning(redis: RedisServer, may: str) -> None:
    redis.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        (line,) = check(redis, "~*", "&*", "+@all", may)
    finally:
        redis.do("CONFIG", "SET", "maxmemory-policy", "noeviction")

    assert (line["event"], line["log_level"]) == ("redis_evicts", "warning")
    assert "maxmemory-policy allkeys-lru" in line["warning"]


class OldRedis:
    """Answers as Redis 6 does: with its version, or not even with that."""

    def __init__(self, *, says_its_version: bool) -> None:
        self._says_its_version = says_its_version

    async def execute_command(self, name: str, *_arguments: Any) -> Any:
        if name == "HELLO" and self._says_its_version:
            return [b"server", b"redis", b"version", b"6.2.14", b"proto", 2]
        raise exceptions.ResponseError(
            "this Redis is too old; version 7 or newer is needed" if name == "EVAL" else "no"
        )


@pytest.mark.parametrize(
    ("says_its_version", "said"),
    [(True, "this Redis is version 6.2.14; version 7 or newer is needed"), (False, "version 7 or newer is needed")],
)
def test_an_old_version_is_called_one(says_its_version: bool, said: str) -> None:
    client = cast("Redis", OldRedis(says_its_version=says_its_version))

    with pytest.raises(SettingsError, match=f"^MATCH_REDIS_URL: .*{said}$"):
        asyncio.run(requirements(client).check())


def test_what_is_refused_for_good_is_told_from_what_is_not_there(redis: RedisServer) -> None:
    async def scenario() -> None:
        client = connect(redis.url)
        try:
            await command(client, "NO-SUCH-COMMAND")
        finally:
            await client.aclose()

    with pytest.raises(StoreRefuses, match=r"^Redis refuses: unknown command"):
        asyncio.run(scenario())
