"""A Redis that refuses what a node needs: said in one line, and never called a Redis that does not answer."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, Process, eventually, run
from tests.shared.player import match_all, players_on, queue_all
from tests.shared.redis_server import RedisServer
from tests.shared.sentinels import SERVICE, SentinelGroup, sentinel
from tests.shared.tcp_redis import TcpRedis, free_ports, start_all

PREFIX = "{eu}:"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with RedisServer() as server:
        yield server


def add_user(redis: RedisServer, *rules: str) -> None:
    redis.do("ACL", "SETUSER", "ann", "reset", "on", ">pw", f"~{PREFIX}*", f"&{PREFIX}*", "+@all", *rules)


def url(redis: RedisServer, password: str = "pw") -> str:  # noqa: S107 - of a Redis that lives for one test
    return f"{redis.url}?username=ann&password={password}"


@pytest.mark.parametrize(
    ("rules", "password", "said"),
    [
        ([], "wrong", "Redis refuses the user or the password: "),
        (["-@scripting"], "pw", "Redis refuses: User ann has no permissions to run the 'eval' command"),
        (["-zadd"], "pw", "this user of Redis may not run ZADD"),
        (["resetchannels"], "pw", "this user of Redis may not use channels such as "),
    ],
    ids=["a wrong password", "no scripting", "a command less", "no channels"],
)
def test_what_redis_refuses_for_good_ends_the_start_with_one_line(
    redis: RedisServer, tmp_path: Path, rules: list[str], password: str, said: str
) -> None:
    add_user(redis, *rules)

    ended = run("match_server", folder=tmp_path, port=0, redis_url=url(redis, password), key_prefix=PREFIX)

    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"MATCH_REDIS_URL: {said}")
    assert ended.stdout == ""


def test_a_redis_that_comes_later_and_refuses_ends_the_start_too(redis: RedisServer, tmp_path: Path) -> None:
    redis.kill()
    with Process(tmp_path, "match_server", port=0, redis_url=url(redis), key_prefix=PREFIX) as node:
        node.wait_for_output("listening .* not ready, Redis does not answer yet")
        redis.start()
        assert node.wait() == 2
        assert "MATCH_REDIS_URL: Redis refuses the user or the password: " in node.log
        assert "Traceback" not in node.log


def test_without_what_managed_services_forbid_players_are_matched(redis: RedisServer, tmp_path: Path) -> None:
    add_user(redis, "-@dangerous")

    async def story(node: Node) -> None:
        async with players_on(node, "ann", "bob") as players, FakeServer(node):
            await queue_all(players)
            await match_all(players)

    with Node(tmp_path, url(redis), PREFIX) as node:
        asyncio.run(story(node))
        assert "INFO is not allowed" in node.log


def test_a_policy_that_evicts_is_a_warning_in_readyz_until_it_is_mended(redis: RedisServer, tmp_path: Path) -> None:
    redis.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with Node(tmp_path, redis.url, PREFIX) as node:
        (warning,) = node.get("/readyz")["warnings"]
        assert "maxmemory-policy allkeys-lru" in warning
        eventually(lambda: "redis_evicts" in node.log)
        redis.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        assert node.get("/readyz")["warnings"] == []


def test_a_user_who_loses_a_right_meanwhile_is_told_from_a_redis_that_is_away(
    redis: RedisServer, tmp_path: Path
) -> None:
    add_user(redis)
    with Node(tmp_path, url(redis), PREFIX) as node:
        eventually(lambda: node.http.get("/readyz").status_code == 200)
        redis.do("ACL", "SETUSER", "ann", "-ping", "-evalsha", "-eval")
        answer = eventually(lambda: (found := node.http.get("/readyz")).status_code == 503 and found)
        assert answer.json()["detail"].startswith("Redis refuses: ")
        redis.do("ACL", "SETUSER", "ann", "+@all")
        eventually(lambda: node.http.get("/readyz").status_code == 200)


def test_sentinels_that_cannot_serve_end_the_start_with_one_line(tmp_path: Path) -> None:
    ports = free_ports(2)
    sentinels = [
        sentinel(tmp_path / "fit", ports[0], watches=1),
        sentinel(tmp_path / "hasty", ports[1], watches=1, down_after_seconds=0.5),
    ]
    try:
        start_all(sentinels)
        for one, service, said in [
            (sentinels[0], "other", "the sentinels know no service 'other'"),
            (sentinels[1], SERVICE, "down-after-milliseconds of 'match' is 500; set 2000 or more"),
        ]:
            url = f"redis+sentinel://{one.address}/{service}"
            ended = run("match_server", folder=tmp_path, port=0, redis_url=url)
            assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"MATCH_REDIS_URL: {said}\n")
    finally:
        for one in sentinels:
            one.kill()


def test_sentinels_that_are_not_there_are_waited_for_and_said_in_readyz(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Node(tmp_path, f"redis+sentinel://127.0.0.1:{port}/{SERVICE}") as node:
        answer = node.http.get("/readyz")
        assert answer.status_code == 503
        expected = f"Redis does not answer: no sentinel answers: redis://127.0.0.1:{port} ("
        assert answer.json()["detail"].startswith(expected)


def test_a_url_that_names_too_few_sentinels_ends_the_start_with_one_line(tmp_path: Path) -> None:
    with SentinelGroup(tmp_path) as group:
        url = f"redis+sentinel://{group.sentinels[0].address}/{SERVICE}"
        ended = run("match_server", folder=tmp_path, port=0, redis_url=url)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("MATCH_REDIS_URL: 3 sentinels watch 'match' and the URL names 1: name 2 at least")


def test_a_cluster_that_is_none_and_a_server_that_is_in_one_end_the_start_with_one_line(tmp_path: Path) -> None:
    alone, clustered = free_ports(2)
    servers = [
        TcpRedis(tmp_path / "alone", alone),
        TcpRedis(tmp_path / "clustered", clustered, cluster_enabled="yes", cluster_port=free_ports(1)[0]),
    ]
    try:
        start_all(servers)
        for url, said in [
            (f"redis+cluster://{servers[0].address}", "the servers of the cluster refuse: "),
            (f"redis://{servers[1].address}", "this Redis is part of a cluster; write redis+cluster://"),
        ]:
            ended = run("match_server", folder=tmp_path, port=0, redis_url=url, key_prefix=PREFIX)
            assert (ended.returncode, ended.stdout) == (2, "")
            (line,) = ended.stderr.splitlines()
            assert line.startswith(f"MATCH_REDIS_URL: {said}")
    finally:
        for server in servers:
            server.kill()
