import asyncio
import gc
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions
from redis.asyncio.connection import Connection

from match_server.errors import StoreUnavailable
from match_server.store import client as client_module
from match_server.store.client import command, connect, dedicated_connection


def test_a_send_on_a_transport_that_uvloop_has_closed_is_a_broken_link(redis_url: str) -> None:
    """It says so by a RuntimeError, which crashed the actor that sent."""

    async def scenario() -> None:
        async with connect(redis_url) as client:
            connection = dedicated_connection(client)
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it so
            assert connection._writer is not None
            connection._writer.transport.abort()
            await asyncio.sleep(0)
            with pytest.raises(exceptions.ConnectionError, match="Redis closed the link"):
                await connection.send_command("PING", check_health=False)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


def test_a_closed_client_leaves_no_connection_open(redis_url: str) -> None:
    async def scenario() -> None:
        watcher, client = connect(redis_url), connect(redis_url)
        await client.client_setname("left-open?")
        await client.aclose()
        names = {entry["name"] for entry in await watcher.client_list()}
        assert "left-open?" not in names
        await watcher.aclose()

    asyncio.run(scenario())


def test_a_command_is_never_sent_again_by_the_client_itself(redis_url: str) -> None:
    async def scenario() -> None:
        client = connect(redis_url)
        retry = client.get_retry()
        assert retry is not None
        assert retry.get_retries() == 0
        await client.aclose()

    asyncio.run(scenario())


def test_a_redis_that_is_not_there_is_a_connection_error() -> None:
    async def scenario() -> None:
        client = connect("unix:///nowhere/redis.sock")
        with pytest.raises(exceptions.ConnectionError):
            await client.ping()
        await client.aclose()

    asyncio.run(scenario())


def test_a_lookup_that_fails_after_its_deadline_is_not_logged_as_never_retrieved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that a slow resolver does not know had asyncio log that twice every second, for ever."""
    monkeypatch.setattr(client_module, "_CONNECT_TIMEOUT_SECONDS", 0.0)
    logged: list[dict[str, Any]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: logged.append(context))
        async with connect("redis://no-such-host.invalid") as client:
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match=r"^Redis does not answer: "):
                    await command(client, "PING")
        await asyncio.sleep(0.3)  # the lookups end
        gc.collect()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
    assert logged == []


def test_the_subscribers_connection_is_outside_the_pool(redis_url: str) -> None:
    async def scenario() -> None:
        client = connect(redis_url)
        connection = dedicated_connection(client)
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it so
        await client.aclose()
        await connection.send_command("PING")
        assert await connection.read_response() == b"PONG"
        await connection.disconnect()

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", range(12))
def test_a_cancellation_is_never_lost_however_far_a_command_has_come(redis_url: str, turns: int) -> None:
    async def scenario() -> None:
        client = connect(redis_url)
        for _ in range(20):
            await client.ping()
            task = asyncio.ensure_future(client.ping())
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await task
        await client.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("command", [("PING",), ("ECHO", "x" * 20_000_000)])
def test_a_redis_that_stands_still_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("match_server.store.client._SOCKET_TIMEOUT_SECONDS", 0.1)

    async def stand_still(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while introductions := (await reader.read(4096)).count(b"SETINFO"):  # what redis-py says of itself
            writer.write(b"+OK\r\n" * introductions)
        await ended.wait()
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(stand_still, "127.0.0.1", 0) as server:
            client = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            with pytest.raises((exceptions.RedisError, OSError)):
                await asyncio.wait_for(client.execute_command(*command), 5)  # type: ignore[no-untyped-call]
            await client.aclose()
            ended.set()

    ended = asyncio.Event()
    asyncio.run(scenario())


@given(
    name=st.sampled_from(["SET", "SCRIPT LOAD", "CLIENT SETINFO LIB-NAME"]),
    arguments=st.lists(st.text() | st.binary() | st.integers() | st.floats(allow_nan=False), max_size=8),
)
def test_a_command_is_packed_as_redis_py_would(name: str, arguments: list[Any]) -> None:
    theirs, ours = Connection(), dedicated_connection(connect("redis://localhost"))
    assert b"".join(ours.pack_command(name, *arguments)) == b"".join(theirs.pack_command(name, *arguments))
