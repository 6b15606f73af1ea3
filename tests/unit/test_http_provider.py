"""The HTTP provider: against respx where a status is enough, against a raw server where the wire matters."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given, settings
from hypothesis import strategies as st

from match_server.servers.http_provider import HttpProvider
from match_server.servers.provider import Created, NotCreated, Provisioned
from match_server.store.journey import Order

ENDPOINT = "http://127.0.0.1:9000"
ADDRESS = "203.0.113.7:7777"
GOOD = {"session_id": "s-1", "server_address": ADDRESS}
MADE = Created("s-1", ADDRESS)
TIMEOUT_SECONDS = 5.0
SHORT_SECONDS = 0.1  # where the deadline is what the test is about
KIBIBYTE = 1024
CERTIFICATES = ssl.create_default_context()


@pytest.fixture(autouse=True)
def certificates_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading them takes 20 ms, and none of these calls uses TLS."""
    monkeypatch.setattr(ssl, "create_default_context", lambda: CERTIFICATES)


def order(number: int = 1, *, endpoint: str = ENDPOINT, host: str = "game.example:9000", batch: bool = False) -> Order:
    key = f"{number:08d}-0000-4000-8000-000000000000"
    return Order(key, 1, "Normal_1v1", "s1", endpoint, host, batch, ("ann", "bob"))


def create(orders: Sequence[Order], *, timeout_seconds: float = TIMEOUT_SECONDS) -> list[Provisioned]:
    async def scenario() -> list[Provisioned]:
        provider = HttpProvider(timeout_seconds=timeout_seconds)
        try:
            return await provider.create(orders)
        finally:
            await provider.aclose()

    return asyncio.run(scenario())


def outcome(provisioned: Provisioned) -> str:
    return "created" if isinstance(provisioned, Created) else provisioned.outcome


# --- one session ---


@respx.mock
def test_the_call_is_the_contracts() -> None:
    route = respx.post(f"{ENDPOINT}/session/create").respond(200, json=GOOD)
    assert create([order()]) == [MADE]
    request = route.calls.last.request
    key = order().loading_session_id
    assert json.loads(request.content) == {
        "session_id": key,
        "game_mode": "Normal_1v1",
        "players": ["ann", "bob"],
    }
    assert request.headers["Idempotency-Key"] == key
    assert request.headers["Host"] == "game.example:9000"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "created"),
        (201, "created"),
        (202, "error"),
        (204, "error"),
        (301, "error"),
        (307, "error"),
        (400, "error"),
        (401, "error"),
        (404, "error"),
        (409, "full"),
        (422, "error"),
        (429, "error"),
        (500, "error"),
        (502, "error"),
        (503, "full"),
        (504, "error"),
    ],
)
@respx.mock
def test_each_status_has_its_outcome(status: int, expected: str) -> None:
    respx.post(f"{ENDPOINT}/session/create").respond(status, json=GOOD)
    (provisioned,) = create([order()])
    assert outcome(provisioned) == expected
    if isinstance(provisioned, NotCreated):
        assert str(status) in provisioned.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"[]",
        b"null",
        b'{"session_id": "s-1"}',
        b'{"server_address": "203.0.113.7:7777"}',
        b'{"session_id": 7, "server_address": "203.0.113.7:7777"}',
        b'{"session_id": "", "server_address": "203.0.113.7:7777"}',
        b'{"session_id": "a b", "server_address": "203.0.113.7:7777"}',
        b'{"session_id": "s-1", "server_address": ""}',
        b'{"session_id": "s-1", "server_address": "a\\nb"}',
        b'{"session_id": "s-1", "server_address": "\xff"}',
        json.dumps({"session_id": "s" * 129, "server_address": ADDRESS}).encode(),
        json.dumps({"session_id": "s-1", "server_address": "a" * 1025}).encode(),
        b"[" * 10_000,
    ],
)
@respx.mock
def test_an_answer_that_cannot_be_read_leaves_it_unknown(body: bytes) -> None:
    respx.post(f"{ENDPOINT}/session/create").respond(200, content=body)
    (provisioned,) = create([order()])
    assert outcome(provisioned) == "unknown"


@respx.mock
def test_further_fields_of_an_answer_are_ignored() -> None:
    respx.post(f"{ENDPOINT}/session/create").respond(201, json=GOOD | {"map": "dust", "tickrate": 128})
    assert create([order()]) == [MADE]


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadError("cut"), httpx.RemoteProtocolError("not HTTP")]
)
@respx.mock
def test_a_broken_connection_leaves_it_unknown(error: Exception) -> None:
    respx.post(f"{ENDPOINT}/session/create").mock(side_effect=error)
    (provisioned,) = create([order()])
    assert outcome(provisioned) == "unknown"


def test_a_server_that_nobody_listens_at_leaves_it_unknown() -> None:
    (provisioned,) = create([order(endpoint="http://127.0.0.1:1")])
    assert outcome(provisioned) == "unknown"


def test_a_server_that_is_no_longer_registered_is_not_called() -> None:
    provisioned = create([order(1, endpoint="", host=""), order(2, endpoint="", host="")])
    assert [outcome(one) for one in provisioned] == ["error", "error"]


@pytest.mark.parametrize("host", ["evil.example[::1]:80", "[::1]x:80", "a:b:c", "a\x7fb", "", " "])
@respx.mock
def test_a_host_that_no_request_can_carry_is_an_outcome_not_a_crash(host: str) -> None:
    respx.post(f"{ENDPOINT}/session/create").respond(200, json=GOOD)
    (provisioned,) = create([order(host=host)])
    assert outcome(provisioned) in {"created", "error", "unknown"}


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000/\x7f", "no url"])
def test_an_endpoint_that_no_request_can_go_to_is_an_outcome_not_a_crash(endpoint: str) -> None:
    (provisioned,) = create([order(endpoint=endpoint)])
    assert outcome(provisioned) in {"error", "unknown"}


# --- batches ---


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {"idempotency_key": order(number).loading_session_id, **fields}


def batch_answer(*entries: Any) -> list[str]:
    """What three orders make of an answer with these entries."""
    with respx.mock:
        respx.post(f"{ENDPOINT}/sessions/create").respond(200, json={"sessions": entries})
        return [outcome(one) for one in create([order(number, batch=True) for number in (1, 2, 3)])]


@respx.mock
def test_a_batch_is_one_call_and_the_contracts() -> None:
    orders = [order(number, batch=True) for number in (1, 2)]
    route = respx.post(f"{ENDPOINT}/sessions/create").respond(200, json={"sessions": [entry(2, **GOOD)]})
    create(orders)
    assert route.call_count == 1
    request = route.calls.last.request
    assert json.loads(request.content) == {
        "sessions": [
            {
                "idempotency_key": one.loading_session_id,
                "session_id": one.loading_session_id,
                "game_mode": "Normal_1v1",
                "players": ["ann", "bob"],
            }
            for one in orders
        ]
    }
    assert "Idempotency-Key" not in request.headers
    assert request.headers["Host"] == "game.example:9000"


@respx.mock
def test_the_entries_of_a_batch_belong_to_their_keys_in_whatever_order() -> None:
    entries = [entry(number, session_id=f"s-{number}", server_address=ADDRESS) for number in (3, 1, 2)]
    respx.post(f"{ENDPOINT}/sessions/create").respond(200, json={"sessions": entries})
    provisioned = create([order(number, batch=True) for number in (1, 2, 3)])
    assert provisioned == [Created(f"s-{number}", ADDRESS) for number in (1, 2, 3)]


def test_a_missing_entry_leaves_its_order_unknown() -> None:
    assert batch_answer(entry(1, **GOOD), entry(3, error="full")) == ["created", "unknown", "full"]
    assert batch_answer() == ["unknown"] * 3


def test_an_entry_with_an_error_is_that_orders_own() -> None:
    answers = entry(1, error="draining"), entry(2, error="no such mode"), entry(3, **GOOD)
    assert batch_answer(*answers) == ["full", "error", "created"]


@pytest.mark.parametrize(
    "unreadable",
    [
        entry(1),
        entry(1, session_id="s-1"),
        entry(1, session_id="a b", server_address=ADDRESS),
        entry(1, session_id=7, server_address=ADDRESS),
        entry(1, error={"code": 7}),
        {"idempotency_key": 7, **GOOD},
        GOOD,
        "s-1",
        7,
        None,
        [],
    ],
)
def test_an_unreadable_entry_leaves_its_order_unknown_and_the_others_alone(unreadable: Any) -> None:
    assert batch_answer(unreadable, entry(2, **GOOD), entry(3, **GOOD)) == ["unknown", "created", "created"]


def test_entries_that_nobody_asked_for_are_ignored() -> None:
    assert batch_answer(*(entry(number, **GOOD) for number in (7, 1, 2, 3, 8))) == ["created"] * 3


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b'{"sessions": {}}', b'{"sessions": null}', b'{"session": []}'])
@respx.mock
def test_a_batch_whose_answer_cannot_be_read_is_unknown_as_a_whole(body: bytes) -> None:
    respx.post(f"{ENDPOINT}/sessions/create").respond(200, content=body)
    provisioned = create([order(number, batch=True) for number in (1, 2)])
    assert [outcome(one) for one in provisioned] == ["unknown", "unknown"]


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 409, 500, 503])
@respx.mock
def test_a_batch_with_another_status_is_unknown_as_a_whole(status: int) -> None:
    respx.post(f"{ENDPOINT}/sessions/create").respond(status, json={"sessions": [entry(1, **GOOD)]})
    (provisioned,) = create([order(1, batch=True)])
    assert outcome(provisioned) == "unknown"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=200)
    | st.builds(lambda value: json.dumps(value).encode(), json_values)
    | st.builds(lambda entries: json.dumps({"sessions": entries}).encode(), st.lists(json_values, max_size=4)),
    status=st.sampled_from([200, 200, 200, 201, 409, 500]),
    batch=st.booleans(),
)
def test_no_answer_makes_it_raise_and_every_order_has_an_outcome(body: bytes, status: int, batch: bool) -> None:
    orders = [order(number, batch=batch) for number in (1, 2)]
    with respx.mock:
        respx.post(url__startswith=ENDPOINT).respond(status, content=body)
        provisioned = create(orders)
    assert len(provisioned) == len(orders)


# --- the wire ---

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Reads each request whole, then does what the test wants."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[bytes] = []
        self.connections = 0

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
            writer.close()


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[tuple[RawServer, str]]:
    raw = RawServer(handler)
    server = await asyncio.start_server(raw, "127.0.0.1", 0)
    async with server:
        yield raw, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


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
            provider = HttpProvider(timeout_seconds=timeout_seconds)
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
    assert b"authorization" not in raw.requests[0].lower()


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
    assert outcome(provisioned) == "unknown"


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
        async with raw_server(answering(json.dumps(GOOD).encode())) as (_, endpoint):
            provider = HttpProvider(timeout_seconds=TIMEOUT_SECONDS)
            await provider.create([order(endpoint=endpoint)])
            await provider.aclose()
            await provider.aclose()

    asyncio.run(scenario())
