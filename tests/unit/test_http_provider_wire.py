"""The HTTP provider against a raw server: connections, limits, deadlines, and what is not HTTP."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from match_server.servers.http_provider import HttpProvider
from match_server.servers.provider import Provisioned
from tests.unit.provider_calls import GOOD, KEYS, MADE, TIMEOUT_SECONDS, entry, order, outcome

pytestmark = pytest.mark.usefixtures("certificates_read_once")

SHORT_SECONDS = 0.1  # where the deadline is what the test is about
KIBIBYTE = 1024
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Reads each request whole, then does what the test wants."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.left = asyncio.Event()  # a client has closed its connection

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self._handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[tuple[RawServer, str]]:
    raw = RawServer(handler)
    server = await asyncio.start_server(raw, "127.0.0.1", 0)
    try:
        yield raw, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()  # without waiting for it: a handler that hangs ends with its loop


def answering(body: bytes, *, status: str = "200 OK", headers: str = "") -> Handler:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


def call_raw(
    handler: Handler, *, timeout_seconds: float = TIMEOUT_SECONDS, batch: bool = False, calls: int = 1
) -> tuple[list[Provisioned], RawServer]:
    async def scenario() -> tuple[list[Provisioned], RawServer]:
        async with raw_server(handler) as (raw, endpoint):
            provider = HttpProvider(timeout_seconds=timeout_seconds, sign=KEYS.call_token)
            found: list[Provisioned] = []
            for _ in range(calls):
                found += await provider.create([order(endpoint=endpoint, batch=batch)])
            await provider.aclose()
            return found, raw

    return asyncio.run(scenario())


def body_of(length: int) -> bytes:
    """A good answer of exactly this many bytes."""
    text = json.dumps(GOOD | {"padding": ""})
    return json.dumps(GOOD | {"padding": "x" * (length - len(text))}).encode()


def test_a_connection_is_not_used_again_where_answers_name_no_request() -> None:
    """A server that answered twice would answer the next match with the session of the last one."""
    found, raw = call_raw(answering(json.dumps(GOOD).encode()), calls=3)
    assert found == [MADE] * 3
    assert raw.connections == 3


def test_a_redirect_is_not_followed() -> None:
    _, other = call_raw(answering(b"", status="307 Temporary Redirect", headers="Location: /elsewhere\r\n"))
    assert [request.split(b" ")[1] for request in other.requests] == [b"/session/create"]


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    found, _ = call_raw(answering(json.dumps(GOOD).encode()))
    assert found == [MADE]


def test_no_credentials_of_the_environment_are_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login admin password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    _, raw = call_raw(answering(json.dumps(GOOD).encode()))
    assert b"authorization: basic" not in raw.requests[0].lower()


@pytest.mark.parametrize(("length", "expected"), [(64 * KIBIBYTE, "created"), (64 * KIBIBYTE + 1, "unknown")])
def test_an_answer_has_a_size_limit(length: int, expected: str) -> None:
    (provisioned,), _ = call_raw(answering(body_of(length)))
    assert outcome(provisioned) == expected


@pytest.mark.parametrize(("length", "reads"), [(1024 * KIBIBYTE, True), (1024 * KIBIBYTE + 1, False)])
def test_the_answer_of_a_batch_has_a_larger_one(length: int, reads: bool) -> None:
    padded = json.dumps({"sessions": [entry(1, **GOOD)], "padding": ""})
    body = json.dumps({"sessions": [entry(1, **GOOD)], "padding": "x" * (length - len(padded))}).encode()
    (provisioned,), _ = call_raw(answering(body), batch=True)
    assert outcome(provisioned) == ("created" if reads else "unknown")


def test_an_endless_answer_is_cut_off_at_its_limit() -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            sent += 0x10000
            await writer.drain()

    (provisioned,), _ = call_raw(flood)
    assert outcome(provisioned) == "unknown"
    assert sent < 100 * 1024 * KIBIBYTE  # the sockets' buffers, no more


def test_a_compressed_answer_is_not_inflated() -> None:
    bomb = gzip.compress(json.dumps(GOOD | {"padding": "x" * 10_000_000}).encode())
    (provisioned,), _ = call_raw(answering(bomb, headers="Content-Encoding: gzip\r\n"))
    assert outcome(provisioned) == "unreadable"


async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("handler", [hang, drip, drip_headers])
def test_one_deadline_bounds_the_whole_call(handler: Handler) -> None:
    (provisioned,), _ = call_raw(handler, timeout_seconds=SHORT_SECONDS)
    assert outcome(provisioned) == "unknown"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x00" * 100,
    ],
)
def test_what_is_not_http_leaves_it_unknown(answer: bytes) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    (provisioned,), _ = call_raw(talk)
    assert outcome(provisioned) == "unknown"


def test_a_second_answer_behind_the_first_is_not_the_next_calls() -> None:
    def twice(body: bytes) -> Handler:
        once = answering(body)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await once(reader, writer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

        return answer

    found, _ = call_raw(twice(json.dumps(GOOD).encode()), calls=2)
    assert found[0] == MADE
    assert found[1] == MADE or outcome(found[1]) == "unknown"


def test_a_provider_that_was_closed_has_no_connection_left() -> None:
    async def scenario() -> None:
        body = json.dumps({"sessions": [entry(1, **GOOD)]}).encode()
        async with raw_server(answering(body)) as (raw, endpoint):
            provider = HttpProvider(timeout_seconds=TIMEOUT_SECONDS, sign=KEYS.call_token)
            await provider.create([order(endpoint=endpoint, batch=True)])
            assert not raw.left.is_set(), "a connection for batches is kept"
            await provider.aclose()
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await raw.left.wait()
            await provider.aclose()

    asyncio.run(scenario())


def test_a_call_in_flight_outlives_calls_to_any_number_of_other_servers() -> None:
    async def scenario() -> None:
        answered, connected = asyncio.Event(), asyncio.Event()

        async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await answered.wait()
            body = json.dumps(GOOD).encode()
            writer.write(b"HTTP/1.1 201 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()

        listener = await asyncio.start_server(slow, "127.0.0.1", 0)
        endpoint = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        provider = HttpProvider(timeout_seconds=TIMEOUT_SECONDS, sign=KEYS.call_token)
        call = asyncio.create_task(provider.create([order(endpoint=endpoint)]))
        await connected.wait()
        for port in range(1, 300):  # nobody listens at 127.9.9.9
            await provider.create([order(port, endpoint=f"http://127.9.9.9:{port}")])
        answered.set()
        assert [outcome(one) for one in await call] == ["created"]
        await provider.aclose()
        listener.close()

    asyncio.run(scenario())
