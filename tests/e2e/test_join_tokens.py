"""Dedicated servers know who comes, and who calls: signed by the pool, checked with what it publishes."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually, run
from tests.shared.player import match_all, players_on, queue_all


def published(node: Node) -> jwt.PyJWKSet:
    return jwt.PyJWKSet.from_dict(node.get("/.well-known/jwks.json"))


def read(token: str, keys: jwt.PyJWKSet, **options: Any) -> dict[str, Any]:
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["EdDSA"], **options)
    return claims


@pytest.mark.parametrize("batch", [False, True])
def test_players_and_calls_are_signed(node: Node, batch: bool) -> None:
    async def play() -> None:
        async with FakeServer(node, batch=batch) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            found = await match_all(players)
            keys = published(node)
            for player, frame in zip(players, found, strict=True):
                claims = read(frame["join_token"], keys)
                assert (claims["sub"], claims["sid"]) == (player.player_id, frame["session_id"])
                assert (claims["srv"], claims["exp"] - claims["iat"]) == (server.server_id, 120)
            (call,) = server.calls
            token = call.headers["authorization"].removeprefix("Bearer ")
            claims = read(token, keys, audience=server.server_id)
            assert claims["body_sha256"] == hashlib.sha256(call.raw).hexdigest()
            assert claims["exp"] - claims["iat"] == 30

    asyncio.run(play())


def test_keys_are_rotated_under_a_running_node(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """The new one is published within a heartbeat of the node; who has a token of the old one still gets in."""
    settings: dict[str, Any] = {"redis_url": redis_url, "key_prefix": prefix}
    with Node(tmp_path, redis_url, prefix, node_lease_seconds=0.3) as node:
        (old,) = node.get("/.well-known/jwks.json")["keys"]
        rotated = run("match_server", "keys", "rotate", folder=tmp_path, **settings)
        assert rotated.returncode == 0, rotated.stderr
        keys = eventually(lambda: (found := node.get("/.well-known/jwks.json")["keys"])[1:] and found)
        assert keys[0] == old
        assert f"{keys[1]['kid']} is published from now on, and signs in 10 minutes" in rotated.stdout
        listed = run("match_server", "keys", "list", folder=tmp_path, **settings)
        assert listed.stdout.split() == [old["kid"], "signs", keys[1]["kid"], "published"]


def test_without_a_redis_of_running_nodes_there_are_no_keys_to_rotate(tmp_path: Path) -> None:
    refused = run("match_server", "keys", "rotate", folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("MATCH_REDIS_URL: expected the Redis of running nodes")
