"""What a client asks for in its handshake, and who gets a place where a node is full."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node
from tests.shared.player import Player, fresh_id, match_all, player_on, players_on, queue_all

KEY = "a-key-of-players-that-is-long-enough"


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
def test_a_plain_get_is_told_to_upgrade(node: Node, path: str) -> None:
    answer = node.http.get(path)
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "WebSocket" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("offered", "chosen"), [([], None), (["match.v1"], "match.v1"), (["x", "match.v1"], "match.v1"), (["x"], None)]
)
def test_the_subprotocol_is_picked_where_it_is_offered(node: Node, offered: list[str], chosen: str | None) -> None:
    async def handshake() -> str | None:
        names = [Subprotocol(name) for name in offered]
        async with connect(node.ws, subprotocols=names or None, proxy=None) as link:
            return link.subprotocol

    assert asyncio.run(handshake()) == chosen


def test_a_token_may_come_as_a_subprotocol_and_never_reaches_the_log(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    player_id = fresh_id()
    secret = jwt.encode({"sub": player_id}, KEY, algorithm="HS256")

    async def journey(node: Node) -> None:
        offered = [Subprotocol("match.v1"), Subprotocol(f"bearer.{secret}")]
        async with player_on(node, player_id, subprotocols=offered) as player:
            assert player.link.subprotocol == "match.v1"
            await player.queue()

    with Node(tmp_path, redis_url, prefix, player_key=KEY) as node:
        asyncio.run(journey(node))
        assert secret not in node.log


@asynccontextmanager
async def once_let_in(node: Node) -> AsyncIterator[Player]:
    """A player on a full node, as soon as another connection gives way."""
    async with AsyncExitStack() as stack, asyncio.timeout(10):
        while True:
            with suppress(InvalidStatus):
                player = await stack.enter_async_context(player_on(node))
                break
        yield player


def test_connections_that_claim_nobody_do_not_keep_players_out(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def journey(node: Node) -> None:
        async with FakeServer(node), players_on(node, "ann", "idle", "idler") as (ann, idle, idler):
            await ann.queue()
            async with once_let_in(node) as bob, once_let_in(node) as cid:
                assert await idle.closed() == 4408
                assert await idler.closed() == 4408
                await queue_all([bob])
                await match_all([ann, bob])
                await cid.silent()
                await cid.queue()
                with pytest.raises(InvalidStatus, match="503"):  # all three have a player
                    await connect(node.ws, proxy=None)

    with Node(tmp_path, redis_url, prefix, max_connections=3, claim_seconds=0.2) as node:
        asyncio.run(journey(node))
