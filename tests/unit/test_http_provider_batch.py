"""The HTTP provider's call for a batch of sessions: each order has the outcome of its own entry."""

import json
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given, settings
from hypothesis import strategies as st

from match_server.servers.provider import Created, NotCreated
from tests.unit.provider_calls import ADDRESS, ENDPOINT, GOOD, create, entry, order, outcome

pytestmark = pytest.mark.usefixtures("certificates_read_once")


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
    assert batch_answer(*answers) == ["full", "wrong", "created"]


@pytest.mark.parametrize(
    "unreadable",
    [
        entry(1),
        entry(1, session_id="a b", server_address=ADDRESS),
        entry(1, session_id=7, server_address=ADDRESS),
        entry(1, error={"code": 7}),
    ],
)
def test_an_unreadable_entry_is_its_orders_and_leaves_the_others_alone(unreadable: Any) -> None:
    assert batch_answer(unreadable, entry(2, **GOOD), entry(3, **GOOD)) == ["unreadable", "created", "created"]


@pytest.mark.parametrize("unreadable", [{"idempotency_key": 7, **GOOD}, GOOD, "s-1", 7, None, []])
def test_an_entry_without_a_key_is_missing(unreadable: Any) -> None:
    assert batch_answer(unreadable, entry(2, **GOOD), entry(3, **GOOD)) == ["unknown", "created", "created"]


def test_entries_that_nobody_asked_for_are_ignored() -> None:
    assert batch_answer(*(entry(number, **GOOD) for number in (7, 1, 2, 3, 8))) == ["created"] * 3


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b'{"sessions": {}}', b'{"sessions": null}', b'{"session": []}'])
@respx.mock
def test_a_batch_whose_answer_cannot_be_read_is_unknown_as_a_whole(body: bytes) -> None:
    respx.post(f"{ENDPOINT}/sessions/create").respond(200, content=body)
    provisioned = create([order(number, batch=True) for number in (1, 2)])
    assert [outcome(one) for one in provisioned] == ["unknown", "unknown"]


@pytest.mark.parametrize("status", [201, 204, 302, 409, 425, 429, 500, 503])
@respx.mock
def test_a_batch_with_another_status_is_unknown_as_a_whole(status: int) -> None:
    respx.post(f"{ENDPOINT}/sessions/create").respond(status, json={"sessions": [entry(1, **GOOD)]})
    (provisioned,) = create([order(1, batch=True)])
    assert outcome(provisioned) == "unknown"


@respx.mock
def test_a_match_for_which_the_whole_batch_is_refused_is_found_among_the_others() -> None:
    """A server that checks bodies as a whole answers 422 to all for one player's id."""
    orders = [order(number, batch=True) for number in range(1, 9)]
    bad = orders[5].loading_session_id

    def answer(request: httpx.Request) -> httpx.Response:
        keys = [item["idempotency_key"] for item in json.loads(request.content)["sessions"]]
        if bad in keys:
            return httpx.Response(422, json={"detail": "players.0: expected a UUID"})
        return httpx.Response(200, json={"sessions": [{"idempotency_key": key, **GOOD} for key in keys]})

    respx.post(f"{ENDPOINT}/sessions/create").mock(side_effect=answer)
    provisioned = create(orders)
    assert [outcome(one) for one in provisioned] == ["created"] * 5 + ["wrong"] + ["created"] * 2
    assert isinstance(provisioned[5], NotCreated)
    assert "expected a UUID" in provisioned[5].detail


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
