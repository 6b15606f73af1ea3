"""Several pools on one node: players and dedicated servers of their own, in one process and on one Redis."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, match_all, player_on


def pools_node(folder: Path, redis_url: str, **settings: Any) -> Node:
    return Node(folder, redis_url, settings.pop("prefix"), pools="eu,us", **settings)


def waiting(node: Node, pool: str) -> int:
    return int(node.get(f"/queues/{MODE}", params={"pool": pool})["waiting"])


def test_players_meet_in_their_own_pool_alone(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        async with (
            player_on(node, "ann") as first,
            player_on(node, "ann", path="/ws/?pool=us") as ann,
            player_on(node, "bob", path="/ws/?pool=us") as bob,
            FakeServer(node, pool="us", server_id="server-us"),
        ):
            await first.queue()
            await ann.queue()
            await bob.queue()
            await match_all([ann, bob])
            await first.silent()
            assert (waiting(node, "eu"), waiting(node, "us")) == (1, 0), (
                "the first pool is the one of those who name none"
            )
            assert [s["server_id"] for s in node.get("/servers", params={"pool": "us"})["servers"]] == ["server-us"]
            assert node.get("/servers")["servers"] == []
            assert node.get("/queues")["queues"][0]["waiting"] == 1
            assert f'match_queue_length{{game_mode="{MODE}"}} 1.0' in node.http.get("/metrics").text
            assert f'match_queue_length{{game_mode="{MODE}"}} 0.0' in node.http.get("/metrics?pool=us").text
            tag = prefix.strip("{}:")
            records = {
                name.decode() if isinstance(name, bytes) else name for name in node.redis.keys(f"{tag}:*player:*")
            }
            assert records == {f"{tag}:{{eu}}:player:ann", f"{tag}:{{us}}:player:ann", f"{tag}:{{us}}:player:bob"}

    with pools_node(tmp_path, redis_url, prefix=prefix.strip("{}:") + ":", log_format="json") as node:
        asyncio.run(story(node))


def test_a_pool_that_is_not_there_is_404_before_the_upgrade(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def knock(node: Node) -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with player_on(node, path="/ws/?pool=asia"):
                pass
        assert "eu, us" in refused.value.response.body.decode() or node.prefix == prefix
        return int(refused.value.response.status_code)

    with (
        pools_node(tmp_path, redis_url, prefix=prefix.strip("{}:") + ":") as node,
        Node(tmp_path, redis_url, prefix) as alone,
    ):
        for one in (node, alone):
            assert asyncio.run(knock(one)) == 404
            one.wait_for_log("handshake_refused")
            assert one.http.get("/queues?pool=asia").status_code == 404
            body = {"control_url": "http://127.0.0.1:1", "address": "a", "capacity": 1, "pool": "asia"}
            assert one.http.post("/servers", json=body).status_code == 422


def test_a_dedicated_server_is_in_one_pool_and_its_calls_find_it(redis_url: str, prefix: str, tmp_path: Path) -> None:
    def register(node: Node, pool: str) -> None:
        body = {"server_id": "s1", "control_url": "http://127.0.0.1:1", "address": "a", "capacity": 1, "pool": pool}
        assert node.http.post("/servers", json=body).status_code == 201

    def pools_of(node: Node) -> set[str]:
        return {p for p in ("eu", "us") if node.http.get(f"/servers/s1?pool={p}").status_code == 200}

    with pools_node(tmp_path, redis_url, prefix=prefix.strip("{}:") + ":") as node:
        register(node, "us")
        assert pools_of(node) == {"us"}
        assert node.http.put("/servers/s1/heartbeat", json={}).status_code == 200
        assert node.http.post("/servers/s1/sessions/x/end").status_code == 204
        register(node, "eu")
        assert pools_of(node) == {"eu"}
        assert node.http.delete("/servers/s1").status_code == 204
        assert pools_of(node) == set()
        assert node.http.put("/servers/s1/heartbeat", json={}).status_code == 404


def test_the_keys_of_all_pools_are_published_and_all_pools_have_to_be_ready(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    with pools_node(tmp_path, redis_url, prefix=prefix.strip("{}:") + ":") as node:
        eventually(lambda: node.http.get("/readyz").status_code == 200)
        published: httpx.Response = node.http.get("/.well-known/jwks.json")
        assert len(published.json()["keys"]) == 2
