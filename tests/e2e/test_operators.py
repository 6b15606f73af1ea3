"""What an operator, an orchestrator and Prometheus see."""

import asyncio
import socket
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from tests.shared.fake_server import FakeServer, hang
from tests.shared.node import Node
from tests.shared.player import MODE, fresh_id, match_all, player_on, players_on, queue_all

SETTINGS = {"game_modes": f"{MODE}:2,Trio:3", "allocation_timeout_seconds": 0.5}


def test_the_queues_are_listed_with_what_is_in_them(node: Node) -> None:
    async def look() -> None:
        async with FakeServer(node, answer=hang) as server, players_on(node, "ann", "bob") as (ann, bob):
            rows = {row["game_mode"]: row for row in node.get("/queues")["queues"]}
            assert set(rows) == {MODE, "Trio"}
            before = node.queue()["matches_last_minute"]
            await ann.queue()
            row = node.queue()
            assert (row["waiting"], row["loading"], row["allocating"]) == (1, 0, 0)
            assert 0 <= row["oldest_wait_seconds"] < 10
            await bob.queue()
            start = await ann.expect("start_loading")
            row = node.queue()
            assert (row["waiting"], row["loading"], row["allocating"]) == (0, 2, 0)
            assert not row["oldest_wait_seconds"]
            await bob.load()
            await ann.loaded(start["loading_session_id"])
            await server.called(1)
            row = node.queue()
            assert (row["waiting"], row["loading"], row["allocating"]) == (0, 0, 2)
            server.answer = server.accept  # asked once more after the timeout
            await ann.expect("match_found")
            await bob.expect("match_found")
            row = node.queue()
            assert (row["waiting"], row["loading"], row["allocating"]) == (0, 0, 0)
            assert row["matches_last_minute"] == before + 1
            assert node.get("/queues/Trio")["waiting"] == 0
            assert [row for row in node.get("/queues")["queues"] if row["game_mode"] == MODE] == [node.queue()]

    asyncio.run(look())


def test_a_mode_is_paused_and_resumed_any_number_of_times(node: Node) -> None:
    for verb, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        assert node.http.post(f"/queues/Trio/{verb}").is_success
        assert node.get("/queues/Trio")["paused"] is paused
        assert node.queue()["paused"] is False, "no other mode is"


def test_a_player_is_shown_in_every_state_and_never_its_token(node: Node) -> None:
    async def look() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            path = f"/players/{ann.player_id}"
            assert node.http.get(path).status_code == 404
            token = (await ann.queue())["resume_token"]
            seen = [node.get(path)]
            await bob.queue()
            start = await ann.expect("start_loading")
            seen.append(node.get(path))
            await bob.load()
            await ann.loaded(start["loading_session_id"])
            found = await ann.expect("match_found")
            seen.append(node.get(path))
            assert [one["state"] for one in seen] == ["queued", "loading", "matched"]
            for one in seen:
                assert one["player_id"] == ann.player_id
                assert one["since"]
                assert one["node"] == seen[0]["node"]
                assert one["node"]
                assert token not in str(one)
                assert token.rpartition("~")[2] not in str(one)
            assert seen[1]["loading_session_id"] == start["loading_session_id"]
            assert seen[2]["session_id"] == found["session_id"]
            assert server.calls

    asyncio.run(look())


def test_servers_are_listed_with_their_slots(node: Node) -> None:
    async def look() -> None:
        async with FakeServer(node, capacity=7, region="eu") as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            await match_all(players)
            row = server.row()
            assert row["server_id"] == server.server_id
            assert row["address"] == server.address
            assert row["control_url"].rstrip("/") == server.control_url
            assert (row["capacity"], row["active"], row["reserved"]) == (7, 1, 0)
            assert row["state"]
            assert 0 < row["lease_seconds_left"] <= 15

    asyncio.run(look())


def test_a_healthy_node_is_healthy_and_ready(node: Node) -> None:
    assert node.http.get("/healthz").status_code == 200
    assert node.http.get("/readyz").status_code == 200


def test_the_metrics_can_be_parsed_and_count(node: Node) -> None:
    def total(name: str) -> float:
        families = {family.name: family for family in text_string_to_metric_families(node.http.get("/metrics").text)}
        samples = [sample for family in families.values() for sample in family.samples if sample.name == name]
        assert samples, f"no {name} among {sorted(families)}"
        return sum(sample.value for sample in samples)

    async def journey() -> None:
        async with FakeServer(node, capacity=7), players_on(node, "ann", "bob", "cleo") as (ann, bob, cleo):
            found = total("match_found_total")
            assert node.http.get("/metrics").headers["content-type"].startswith("text/plain")
            await queue_all([ann, bob])
            await match_all([ann, bob])
            await cleo.queue()
            assert total("match_found_total") == found + 1
            assert total("match_queue_length") == 1
            assert total("match_connections") == 3

    asyncio.run(journey())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/queues/", 404),
        ("GET", "/servers/", 404),
        ("POST", "/servers/", 404),
        ("GET", "/queues/Nope", 404),
        ("GET", "/queues/a%20b", 404),
        ("POST", "/queues/Nope/pause", 404),
        ("POST", "/queues/Nope/resume", 404),
        ("POST", f"/queues/{MODE}/explode", 404),
        ("GET", "/players/nobody", 404),
        ("GET", "/players/a%20b", 422),
        ("GET", "/players/%23state", 422),
        ("GET", f"/players/{'x' * 3000}", 422),
        ("DELETE", "/queues", 405),
        ("POST", "/queues", 405),
        ("PUT", "/servers", 405),
        ("GET", f"/queues/{MODE}/pause", 405),
        ("DELETE", "/players/nobody", 405),
        ("POST", "/healthz", 405),
        ("POST", "/metrics", 405),
        ("GET", "/servers/x/heartbeat", 405),
    ],
)
def test_what_is_not_there_is_said_as_problem_json(node: Node, method: str, path: str, status: int) -> None:
    before = node.keys()
    answer = node.http.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert node.keys() <= before


@pytest.mark.parametrize("path", ["/", "/wsx", "/ws/x", "/servers", "/queues/"])
def test_a_handshake_where_no_websocket_is_gets_the_same_problem(node: Node, path: str) -> None:
    async def connect() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with player_on(node, path=path):
                pass
        answer = refused.value.response
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.body == node.http.get("/nothing/here").content

    asyncio.run(connect())


def test_the_websocket_address_without_an_upgrade_is_a_client_error(node: Node) -> None:
    for path in ("/ws", "/ws/"):
        answer = node.http.get(path)
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


RAW: dict[str, bytes] = {
    "no-http": b"\x00\x01\x02\x03\r\n\r\n",
    "tls": bytes.fromhex("1603010200010001fc0303") + bytes(64),
    "long-line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "long-header": b"GET /nothing HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "bad-length": b"POST /servers HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two-lengths": b"POST /servers HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    "bad-upgrade": b"GET /ws/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "bad-key": b"GET /ws/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
    "bad-version": b"GET /ws/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_http_is_turned_away_and_the_node_lives(node: Node, name: str) -> None:
    before = node.keys()
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as raw:
        try:
            raw.sendall(RAW[name])
            answer = raw.recv(4096)
        except ConnectionError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert node.http.get("/readyz").status_code == 200
    assert node.keys() <= before


def test_a_path_on_the_websocket_that_is_not_there_is_refused(node: Node) -> None:
    head = b"GET /nothing HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as raw:
        raw.sendall(head)
        assert raw.recv(4096).startswith(b"HTTP/1.1 4")


def test_the_log_holds_no_frame_and_no_token(node: Node) -> None:
    async def journey() -> Any:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            await bob.link.send(f'{{"type":"nope","secret":"{(mark := fresh_id("mark"))}"}}')
            await bob.refused("invalid_message")
            await bob.queue()
            await match_all([ann, bob])
            return token, mark

    token, mark = asyncio.run(journey())
    assert token not in node.log
    assert mark not in node.log
    assert '"type"' not in node.log
