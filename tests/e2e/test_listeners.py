"""Who may reach what: the players' listener, the operators' and servers', and what a web page may do."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node
from tests.shared.player import match_all, players_on, queue_all

BEHIND = ["/servers", "/queues", "/players/ada", "/readyz", "/metrics"]
REGISTRATION = {"control_url": "http://127.0.0.1:9", "address": "game:1", "capacity": 1}


def test_with_an_admin_port_players_reach_nothing_but_their_socket(redis_url: str, prefix: str, tmp_path: Path) -> None:
    with Node(tmp_path, redis_url, prefix, admin_port=0) as node:
        public = node.ws.replace("ws://", "http://").removesuffix("/ws/")
        assert public != node.base
        for path in BEHIND:
            assert httpx.get(public + path, trust_env=False).status_code == 404, path
        for path in BEHIND:
            if path != "/players/ada":  # no such player
                assert node.http.get(path).status_code == 200, path
        assert httpx.get(f"{public}/healthz", trust_env=False).status_code == 200
        assert httpx.post(f"{public}/servers", json=REGISTRATION, trust_env=False).status_code == 404
        assert node.http.get("/ws/").status_code == 404

        async def journey() -> None:
            async with FakeServer(node), players_on(node, "ann", "bob") as players:
                await queue_all(players)
                await match_all(players)

        asyncio.run(journey())


PAGES: dict[str, tuple[dict[str, str], int]] = {
    "another page": ({"Origin": "http://evil.example"}, 403),
    "no page at all": ({"Origin": "null"}, 403),
    "a form": ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "a file": ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    "plain text": ({"Content-Type": "text/plain"}, 415),
    "a program": ({}, 0),
    "JSON": ({"Content-Type": "application/json; charset=utf-8"}, 0),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_changes_nothing_on_a_node_without_keys(node: Node, page: str) -> None:
    headers, refused = PAGES[page]
    calls: list[tuple[str, str, Any, int]] = [
        ("POST", "/servers", b'{"control_url":"http://127.0.0.1:9","address":"a","capacity":1,"server_id":"p"}', 201),
        ("PUT", "/servers/p/heartbeat", b"{}", 200),
        ("POST", "/servers/p/sessions/s/end", None, 204),
        ("DELETE", "/servers/p", None, 204),
        ("POST", "/queues/Normal_1v1/pause", None, 200),
        ("POST", "/queues/Normal_1v1/resume", None, 200),
    ]
    for method, path, content, usual in calls:
        answer = node.http.request(method, path, content=content, headers=headers)
        assert answer.status_code == (refused or usual), (method, path, answer.text)
        if refused:
            assert answer.json()["detail"].startswith(
                "Origin: expected" if refused == 403 else "Content-Type: expected"
            )
    if refused:
        assert not {"paused", "server:p"} & node.keys()


def test_a_page_of_the_same_host_and_one_that_is_allowed_may(redis_url: str, prefix: str, tmp_path: Path) -> None:
    with Node(tmp_path, redis_url, prefix, allowed_origins="https://ops.example") as node:
        for origin in (node.base, "https://ops.example"):
            answer = node.http.post("/queues/Normal_1v1/resume", headers={"Origin": origin})
            assert answer.status_code == 200
