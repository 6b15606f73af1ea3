"""A connection before its upgrade has a deadline for each request. On virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from match_server.web.request_deadline import HttpConnection, meet_deadlines
from tests.unit.virtual_time import run, until_quiet
from tests.unit.websocket_link import FakeTransport


@asynccontextmanager
async def http_connection() -> AsyncIterator[tuple[HttpConnection, FakeTransport]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        meet_deadlines(app), ws="none", lifespan="off", log_config=None, access_log=False, timeout_keep_alive=100
    )
    config.load()
    connection = HttpConnection(config, ServerState(), {}, asyncio.get_running_loop())
    transport = FakeTransport(connection)
    connection.connection_made(transport)
    yield connection, transport
    transport.abort()
    await until_quiet()


def test_a_connection_that_never_says_anything_is_closed() -> None:
    async def scenario() -> None:
        async with http_connection() as (_, transport):
            await asyncio.sleep(9.9)
            assert not transport.lost
            await asyncio.sleep(0.2)
            assert transport.aborted

    run(scenario())


def test_a_request_that_drips_in_is_closed_however_steadily_it_drips() -> None:
    async def scenario() -> None:
        async with http_connection() as (connection, transport):
            connection.data_received(b"GET / HTTP/1.1\r\nHost: node\r\n")
            for _ in range(30):
                if not transport.lost:
                    connection.data_received(b"X: y\r\n")
                await asyncio.sleep(0.5)
            assert transport.aborted

    run(scenario())


def test_each_request_of_a_kept_connection_has_its_own_deadline() -> None:
    async def scenario() -> None:
        async with http_connection() as (connection, transport):
            for _ in range(3):
                connection.data_received(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
                await asyncio.sleep(15)
                assert not transport.lost
            connection.data_received(b"GET / HTTP/1.1\r\n")
            await asyncio.sleep(10.1)
            assert transport.aborted

    run(scenario())
