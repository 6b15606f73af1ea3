"""What a dedicated server may say of itself, and what becomes of a registration that breaks a rule."""

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.shared.node import Node, eventually

GOOD = {"control_url": "http://127.0.0.1:9", "address": "game.example:7777", "capacity": 3}


@pytest.fixture(autouse=True)
def _no_server_left(node: Node) -> Any:
    yield
    for row in node.get("/servers")["servers"]:
        assert node.http.delete(f"/servers/{row['server_id']}").status_code == 204


def _refused(node: Node, body: Any, status: int, field: str = "") -> None:
    """Registering with this body fails with this status, names the field, and changes no key."""
    before = node.keys()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = node.http.post("/servers", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, f"{raw[:200]!r}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert field in problem["detail"], f"{raw[:200]!r}: {problem}"
    assert node.keys() <= before, f"{raw[:200]!r} left {node.keys() - before}"
    assert node.get("/servers") == {"servers": []}


def test_a_registration_is_answered_with_an_id_and_the_rhythm_of_the_heartbeat(node: Node) -> None:
    answer = node.http.post("/servers", json=GOOD)
    assert answer.status_code == 201
    registered = answer.json()
    assert registered["server_id"]
    assert 0 < registered["heartbeat_seconds"] < registered["lease_seconds"] == 15
    [row] = node.get("/servers")["servers"]
    assert row["server_id"] == registered["server_id"]
    assert {name: row[name] for name in GOOD} == GOOD
    assert (row["active"], row["reserved"]) == (0, 0)
    assert 0 < row["lease_seconds_left"] <= 15
    assert row["state"]


def test_the_same_id_and_incarnation_again_is_idempotent(node: Node) -> None:
    body = {**GOOD, "server_id": "one", "incarnation": "first", "region": "eu", "game_modes": ["Normal_1v1"]}
    for _ in range(2):
        assert node.http.post("/servers", json=body).json()["server_id"] == "one"
    assert len(node.get("/servers")["servers"]) == 1
    node.http.post("/servers", json={**body, "incarnation": "second", "capacity": 5})
    [row] = node.get("/servers")["servers"]
    assert row["capacity"] == 5


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9",
        "http://127.0.0.1",
        "https://127.0.0.1:9",
        "http://127.255.0.9:9/",
        "http://127.0.0.1:9/some/path",
        "http://[::1]:9",
        "http://localhost:9",
        "HTTP://LocalHost:9",
    ],
)
def test_a_control_url_inside_the_networks_is_taken(node: Node, url: str) -> None:
    answer = node.http.post("/servers", json={**GOOD, "control_url": url})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "http://",
        "http:///path",
        "127.0.0.1:9",
        "//127.0.0.1:9",
        "ftp://127.0.0.1:9",
        "file:///etc/passwd",
        "unix:///tmp/x.sock",
        "javascript:alert(1)",
        "http://10.0.0.1:9",
        "http://8.8.8.8",
        "http://169.254.169.254/latest",
        "http://0.0.0.0:9",
        "http://[::]:9",
        "http://[fe80::1]:9",
        "http://[fe80::1%25lo]:9",
        "http://[::ffff:10.0.0.1]:9",
        "http://[64:ff9b::7f00:1]:9",
        "http://2130706433:9",
        "http://127.1:9",
        "http://127.0.1:9",
        "http://0x7f.1:9",
        "http://0x7f000001:9",
        "http://0x7f.0x0.0x0.0x1:9",
        "http://017700000001:9",
        "http://0177.0.0.1:9",
        "http://127.0.0.01:9",
        "http://127.0.0.256:9",
        "http://127.0.0.1.:9",
        "http://127.0.0.1.1:9",
        "http://\uff11\uff12\uff17.0.0.1:9",
        "http://127。0。0。1:9",
        "http://user@127.0.0.1:9",
        "http://user:secret@127.0.0.1:9",
        "http://@127.0.0.1:9",
        "http://127.0.0.1@10.0.0.1:9",
        "http://127.0.0.1:9@10.0.0.1",
        "http://10.0.0.1\\@127.0.0.1:9",
        "http://10.0.0.1#@127.0.0.1:9",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "http://127.0.0.1:-1",
        "http://127.0.0.1:0",
        "http://no-such-host.invalid:9",
        "http://" + "a" * 300 + ":9",
        "http://a..b:9",
        "http://-:9",
        "http://127.0.0.1:9/\r\nX-Evil: 1",
        "http://127.0.0.1:9/a b",
        "http://127.0.0.1:9/\x00",
        " http://127.0.0.1:9",
        "http://127.0.0.1:9 ",
        "http://127.0.0.1:9\n",
        "http://127.0.0.1:9/?q=1",
        "http://127.0.0.1:9/#f",
        "http://127.0.0.1:9/" + "a" * 10_000,
    ],
)
def test_any_other_control_url_is_refused_and_changes_nothing(node: Node, url: str) -> None:
    _refused(node, {**GOOD, "control_url": url}, 422, "control_url")


WRONG: dict[str, list[Any]] = {
    "control_url": [None, 7, [], {}, True],
    "address": [None, "", " ", " \u00a0\u2003", "a\n", 7, [], {}, True],
    "capacity": [None, 0, -1, 100_001, 10**30, 1.5, "1", "", True, [], {}],
    "server_id": ["", "a b", "a/b", "a\n", "ä", "x" * 500, 7, [], {}, True],
    "incarnation": [[], {}, True, "x" * 5000],
    "batch": ["yes", 1, [], {}],
    "max_session_seconds": [0, -1, "1", "soon", [], {}, True],
    "active_sessions": ["x", 7, {}, [7], [None], [[]], [""], ["a b"]],
    "game_modes": ["Normal_1v1", 7, {}, [7], [None], ["a b"], [""]],
    "region": [7, [], {}, True, "x" * 5000],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_field_is_refused_by_its_name_and_changes_nothing(node: Node, field: str, value: Any) -> None:
    _refused(node, {**GOOD, field: value}, 422, field)


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_refused_by_its_name(node: Node, field: str) -> None:
    _refused(node, {name: value for name, value in GOOD.items() if name != field}, 422, field)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"{",
        b"{} {}",
        b"\xff\xfe",
        b"\x00",
        b"control_url=http://127.0.0.1",
        b'{"capacity": NaN}',
        b"[" * 100_000,
        b'{"a":' * 5000,
    ],
    ids=range(10),
)
def test_a_body_that_is_not_json_is_400(node: Node, body: bytes) -> None:
    _refused(node, body, 400)


def test_a_misspelt_field_is_named_where_it_is_missing(node: Node) -> None:
    body = {name: value for name, value in GOOD.items() if name != "control_url"}
    _refused(
        node, body | {"control_ur": GOOD["control_url"]}, 422, "control_url: Field required; the body has 'control_ur'"
    )


@pytest.mark.parametrize("body", [[], "x", 1, None, [GOOD]])
def test_a_body_that_is_no_object_is_422(node: Node, body: Any) -> None:
    _refused(node, body, 422)


def test_a_body_without_end_is_refused_before_it_is_read_whole(node: Node) -> None:
    def endless() -> Any:
        yield b'{"address": "'
        for _ in range(64):
            yield b"x" * 1_000_000

    with suppress(httpx.TransportError):  # it may cut us off while we are still sending
        assert node.http.post("/servers", content=endless()).status_code in {400, 413}
    assert node.get("/servers") == {"servers": []}


def test_null_stands_for_a_field_that_is_left_out(node: Node) -> None:
    optional = ("server_id", "incarnation", "batch", "max_session_seconds", "active_sessions", "game_modes", "region")
    answer = node.http.post("/servers", json={**GOOD, **dict.fromkeys(optional)})
    assert answer.status_code == 201, answer.text
    path = f"/servers/{answer.json()['server_id']}"
    assert node.http.put(f"{path}/heartbeat", json={"active_sessions": None, "draining": None}).status_code == 200
    node.http.delete(path)


def test_what_is_likely_wrong_is_accepted_with_warnings(node: Node) -> None:
    assert node.http.post("/servers", json=GOOD).json()["warnings"] == []
    odd = {**GOOD, "game_mode": ["Normal_1v1"], "game_modes": ["Normal_1v2", "Normal_1v1"], "colour": {"a": [1]}}
    answer = node.http.post("/servers", json={**odd, "server_id": "odd"})
    assert answer.status_code == 201
    assert answer.json()["warnings"] == [
        "the field 'colour' is not known",
        "the field 'game_mode' is not known; did you mean 'game_modes'?",
        "no node has the game mode 'Normal_1v2'; did you mean 'Normal_1v1'?",
    ]
    rows = {row["server_id"]: row for row in node.get("/servers")["servers"]}
    assert "colour" not in rows["odd"]
    beat = node.http.put("/servers/odd/heartbeat", json={"active_session": []})
    assert beat.json()["warnings"] == ["the field 'active_session' is not known; did you mean 'active_sessions'?"]


def test_a_refused_registration_is_one_line_with_code_and_reason(node: Node) -> None:
    reason = "its host is outside MATCH_SERVER_NETWORKS"
    lines = len(node.log.splitlines())

    def refused() -> list[str]:
        return [line for line in node.log.splitlines()[lines:] if "registration_refused" in line]

    for _ in range(50):
        assert node.http.post("/servers", json={**GOOD, "control_url": "http://10.0.0.1:9"}).status_code == 422
    (counted,) = eventually(lambda: [line for line in refused() if reason in line and "more=" in line])
    assert "status=422" in counted
    assert "peer=127.0.0.1" in counted
    assert len(refused()) <= 3
