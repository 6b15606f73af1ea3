"""Keys: of players, of dedicated servers, of operators. Also who may open a socket at all."""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from websockets.exceptions import InvalidStatus

from tests.shared.node import Node
from tests.shared.player import MODE, fresh_id, player_on

PLAYER_KEY = "player-key-" + "0123456789" * 6  # as long as HS512 wants it
SERVER_KEY = "server-key-0123456789"
ADMIN_KEY = "admin-key-0123456789"
SETTINGS = {"player_key": PLAYER_KEY, "server_key": SERVER_KEY, "admin_key": ADMIN_KEY}


def _token(player_id: Any, *, key: str = PLAYER_KEY, algorithm: str = "HS256", **claims: Any) -> str:
    claims = {"sub": player_id, "exp": int(time.time()) + 60, **claims}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def _unsigned(player_id: str) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': player_id, 'exp': int(time.time()) + 60})}."


@pytest.mark.parametrize("where", ["header", "query"])
def test_a_player_with_a_token_in_its_own_name_is_let_in(node: Node, where: str) -> None:
    async def enter() -> None:
        player_id = fresh_id()
        token = _token(player_id)
        options: dict[str, Any] = (
            {"additional_headers": {"Authorization": f"Bearer {token}"}}
            if where == "header"
            else {"path": f"/ws/?token={token}"}
        )
        async with player_on(node, player_id, **options) as player:
            resume_token = (await player.queue())["resume_token"]
            async with player_on(node, player_id, **options) as newer:
                await newer.resume(resume_token)
                await newer.expect("resumed")
                await newer.expect("queued")
                assert await player.closed() == 4000
                await newer.send("dequeue")
                await newer.expect("dequeued")
        assert token not in node.log

    asyncio.run(enter())


BAD_TOKENS = {
    "none": "",
    "rubbish": "x",
    "three-dots": "a.b.c",
    "another-key": _token("p", key=PLAYER_KEY + "x"),
    "unsigned": _unsigned("p"),
    "another-algorithm": _token("p", algorithm="HS512"),
    "expired": _token("p", exp=int(time.time()) - 3600),
    "not-yet": _token("p", nbf=int(time.time()) + 3600),
    "no-sub": _token(None),
    "sub-of-wrong-form": _token("a b"),
    "long": "x" * 3000,
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_player_without_a_good_token_is_unauthorized_and_closed_with_4401(node: Node, name: str) -> None:
    async def enter() -> None:
        before = node.keys()
        path = f"/ws/?token={BAD_TOKENS[name]}" if name != "none" else "/ws/"
        async with player_on(node, "p", path=path) as player:
            assert await player.closed() == 4401
            assert [frame.get("code") for frame in player.frames] == ["unauthorized"]
            assert node.keys() <= before

    asyncio.run(enter())


def test_a_player_cannot_queue_in_anothers_name(node: Node) -> None:
    async def enter() -> None:
        before = node.keys()
        async with player_on(node, "victim", path=f"/ws/?token={_token('eve')}") as player:
            await player.enqueue()
            assert await player.closed() == 4401
            assert [frame.get("code") for frame in player.frames] == ["unauthorized"]
            assert node.keys() <= before

    asyncio.run(enter())


def test_a_player_cannot_resume_in_anothers_name_even_with_the_token(node: Node) -> None:
    async def enter() -> None:
        victim_id = fresh_id()
        async with player_on(node, victim_id, path=f"/ws/?token={_token(victim_id)}") as victim:
            resume_token = (await victim.queue())["resume_token"]
            async with player_on(node, victim_id, path=f"/ws/?token={_token('eve')}") as eve:
                await eve.resume(resume_token)
                assert await eve.closed() == 4401
            await victim.nothing()
            await victim.send("dequeue")
            await victim.expect("dequeued")

    asyncio.run(enter())


REGISTRATION = {"control_url": "http://127.0.0.1:9", "address": "game:1", "capacity": 1}
SERVER_CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/servers", REGISTRATION),
    ("PUT", "/servers/s/heartbeat", {}),
    ("DELETE", "/servers/s", None),
    ("POST", f"/servers/s/sessions/{uuid.uuid4()}/end", None),
    ("POST", "/servers/s/sessions/end", {"session_ids": []}),
]
OPERATOR_CALLS = [
    ("GET", "/servers", None),
    ("GET", "/servers/s", None),
    ("GET", "/queues", None),
    ("GET", f"/queues/{MODE}", None),
    ("POST", f"/queues/{MODE}/pause", None),
    ("POST", f"/queues/{MODE}/resume", None),
    ("GET", "/players/p", None),
    ("POST", f"/queues/{MODE}/clear", None),
    ("DELETE", "/players/p/journey", None),
    ("POST", "/servers/s/drain", None),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "other_key"),
    [
        *((*call, SERVER_KEY, ADMIN_KEY) for call in SERVER_CALLS),
        *((*call, ADMIN_KEY, SERVER_KEY) for call in OPERATOR_CALLS),
    ],
)
def test_every_guarded_call_needs_its_own_key(
    node: Node, method: str, path: str, body: Any, key: str, other_key: str
) -> None:
    before = node.keys()
    wrong = ["", f"Bearer {other_key}", f"Bearer {key}x", f"Bearer {key[:-1]}", "Bearer", f"Basic {key}", key]
    for header in wrong:
        answer = node.http.request(method, path, json=body, headers={"Authorization": header} if header else {})
        assert answer.status_code == 401, header
        assert answer.headers["content-type"] == "application/problem+json"
        assert key not in answer.text
    assert node.keys() <= before
    assert node.http.get("/queues", headers=_bearer(ADMIN_KEY)).json()["queues"][0]["paused"] is False
    answer = node.http.request(method, path, json=body, headers=_bearer(key))
    assert answer.status_code in {200, 201, 204, 404}
    assert node.http.post(f"/queues/{MODE}/resume", headers=_bearer(ADMIN_KEY)).is_success


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_header_of_strange_bytes_is_no_key(node: Node) -> None:
    answer = node.http.get("/servers", headers=[(b"Authorization", b"Bearer \xff\xe4")])
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_an_orchestrator_needs_no_key(node: Node, path: str) -> None:
    assert node.http.get(path).status_code == 200


def test_no_key_and_no_token_ever_stands_in_the_log(node: Node) -> None:
    """Last of those that use the shared node, so that all of their traffic is in it."""
    httpx.get(f"{node.base}/players/x?key={ADMIN_KEY}", trust_env=False)
    for secret in (PLAYER_KEY, SERVER_KEY, ADMIN_KEY, "eyJ"):
        assert secret not in node.log
        assert secret not in node.output


@pytest.fixture
def guarded(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Node]:
    with Node(
        tmp_path, redis_url, prefix, allowed_origins="https://game.example", max_connections_per_address=2
    ) as node:
        yield node


def test_only_browsers_of_allowed_origins_are_let_in(guarded: Node) -> None:
    async def enter() -> None:
        for origin in ("https://game.example", guarded.base):
            async with player_on(guarded, origin=origin) as player:
                await player.nothing()
        for origin in ("https://evil.example", "https://game.example.evil.example", "http://game.example", "null"):
            with pytest.raises(InvalidStatus) as refusal:
                async with player_on(guarded, origin=origin):
                    pass
            assert refusal.value.response.status_code == 403

    asyncio.run(enter())


def test_one_address_gets_no_more_connections_than_allowed(guarded: Node) -> None:
    async def enter() -> None:
        async with player_on(guarded) as one, player_on(guarded) as two:
            with pytest.raises(InvalidStatus) as refusal:
                async with player_on(guarded):
                    pass
            assert refusal.value.response.status_code in {429, 503}
            await one.nothing()
            await two.nothing()
        async with player_on(guarded) as again:
            await again.nothing()

    asyncio.run(enter())


@pytest.mark.parametrize("trusted", [True, False])
def test_the_address_behind_a_proxy_counts_only_if_the_proxy_is_trusted(
    redis_url: str, prefix: str, tmp_path: Path, trusted: bool
) -> None:
    async def enter(node: Node) -> None:
        def behind(address: str) -> Any:
            return player_on(node, additional_headers={"X-Forwarded-For": address})

        async with behind("203.0.113.1") as one:
            await one.nothing()
            if trusted:
                async with behind("203.0.113.2") as two:
                    await two.nothing()
            same = "203.0.113.1" if trusted else "203.0.113.2"
            with pytest.raises(InvalidStatus):
                async with behind(same):
                    pass

    settings: dict[str, Any] = {"trusted_proxies": "127.0.0.0/8"} if trusted else {}
    with Node(tmp_path, redis_url, prefix, max_connections_per_address=1, **settings) as node:
        asyncio.run(enter(node))


def test_a_full_node_turns_the_next_connection_away(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def enter(node: Node) -> None:
        async with player_on(node) as one, player_on(node) as two:
            with pytest.raises(InvalidStatus) as refusal:
                async with player_on(node):
                    pass
            assert refusal.value.response.status_code == 503
            await one.nothing()
            await two.nothing()

    with Node(tmp_path, redis_url, prefix, max_connections=2) as node:
        asyncio.run(enter(node))
