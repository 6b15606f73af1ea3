"""The HTTP provider's call for one session: what it sends, and what each answer means."""

import json
from dataclasses import replace

import httpx
import pytest
import respx

from match_server.servers.provider import Created, NotCreated
from tests.unit.provider_calls import ADDRESS, ENDPOINT, GOOD, MADE, create, order, outcome

pytestmark = pytest.mark.usefixtures("certificates_read_once")


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


@respx.mock
def test_what_rules_have_settled_goes_along() -> None:
    settled = {"region": "eu", "attributes": {"ann": {"rating": 1500}, "bob": {}}}
    route = respx.post(f"{ENDPOINT}/session/create").respond(200, json=GOOD)
    create([replace(order(), settled=settled)])
    body = json.loads(route.calls.last.request.content)
    assert {name: body[name] for name in settled} == settled
    route = respx.post(f"{ENDPOINT}/sessions/create").respond(200, json={"sessions": []})
    create([replace(order(batch=True), settled=settled)])
    (entry,) = json.loads(route.calls.last.request.content)["sessions"]
    assert {name: entry[name] for name in settled} == settled


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "created"),
        (201, "created"),
        (202, "error"),
        (204, "error"),
        (301, "error"),
        (307, "error"),
        (400, "wrong"),
        (401, "wrong"),
        (404, "wrong"),
        (408, "error"),
        (409, "full"),
        (422, "wrong"),
        (425, "error"),
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
def test_an_answer_that_cannot_be_read_is_said_to_be_so(body: bytes) -> None:
    respx.post(f"{ENDPOINT}/session/create").respond(200, content=body)
    (provisioned,) = create([order()])
    assert outcome(provisioned) == "unreadable"


@respx.mock
def test_an_unreadable_answer_names_the_field() -> None:
    respx.post(f"{ENDPOINT}/session/create").respond(200, json={"server_address": ADDRESS})
    (provisioned,) = create([order()])
    assert isinstance(provisioned, NotCreated)
    assert "session_id: Field required" in provisioned.detail


@respx.mock
def test_an_answer_without_an_address_leaves_it_to_the_registration() -> None:
    respx.post(f"{ENDPOINT}/session/create").respond(200, json={"session_id": "s-1"})
    assert create([order()]) == [Created("s-1", None)]


@respx.mock
def test_what_the_server_said_is_cut_and_cleaned() -> None:
    said = "players.0: expected a UUID\n\x1b[31mred\x00" + "x" * 1000
    respx.post(f"{ENDPOINT}/session/create").respond(400, content=said.encode())
    (provisioned,) = create([order()])
    assert isinstance(provisioned, NotCreated)
    assert provisioned.detail.startswith("status 400: players.0: expected a UUID [31mred x")
    assert len(provisioned.detail) == len("status 400: ") + 200


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
    assert provisioned == NotCreated("unknown", "All connection attempts failed: Connection refused")


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
