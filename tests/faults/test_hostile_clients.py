"""Clients that flood, send rubbish, stop reading or never finish: each ends alone, nobody else notices."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.hostile import BINARY, CLOSE, PING, TEXT, UPGRADE, Hostile, descriptors, frame, memory_mb
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once
from tests.shared.crowd import Crowd, seen
from tests.shared.game_server import GameServer
from tests.shared.node import Node
from tests.shared.redis_server import RedisServer

A_PING = json.dumps({"type": "ping"}).encode()
PING_BYTES = 150_000_000
MAX_GROWTH_MB = 10


@asynccontextmanager
async def others_play(node: Node, redis: RedisServer, prefix: str, pairs: int = 5) -> AsyncIterator[None]:
    """Players who come before, during and after; all of them get their match, and none loses its link."""
    async with Crowd() as crowd, GameServer([node]) as server:
        await crowd.until_state(State.MATCHED, who=crowd.add(2 * pairs, [node.ws]))
        during = crowd.add(2 * pairs, [node.ws])
        yield
        await crowd.until_state(State.MATCHED, who=during)
        await crowd.until_state(State.MATCHED, who=crowd.add(2 * pairs, [node.ws]))
        everybody_matched_once(redis, prefix, crowd.players, [server])
        assert not any(player.closes for player in crowd.players)


def connections(node: Node) -> int:
    """How many WebSockets the node says that it holds."""
    found = re.search(r"^match_connections (\d+)", node.http.get("/metrics").text, re.MULTILINE)
    assert found
    return int(found[1])


async def flood(node: Node, data: bytes, total: int) -> int:
    """Send the data over and over, on a new connection when one is cut off, and read nothing; how many it took."""
    sent = used = 0
    while sent < total:
        async with Hostile(node) as client:
            used += 1
            await client.upgrade()
            try:
                while sent < total:
                    await client.send(data)
                    sent += len(data)
            except OSError:
                continue
    return used


def test_150_mb_of_pings_from_a_client_that_never_reads(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    (node,) = nodes.start(1)

    async def story() -> None:
        async with others_play(node, redis, prefix):
            before = memory_mb(node)
            started = time.monotonic()
            used = await flood(node, frame(PING, bytes(125)) * 1000, PING_BYTES)
            grown = memory_mb(node) - before
            seconds = time.monotonic() - started
            note(f"150 MB of pings over {used} connections in {seconds:.1f} s: growth", grown, "MB")
            assert grown < MAX_GROWTH_MB

    asyncio.run(story())


@pytest.mark.parametrize("messages_per_second", [20, 1_000_000], ids=["over the rate limit", "within the rate limit"])
def test_a_client_that_asks_for_ever_and_never_reads_is_cut_off(
    redis: RedisServer, prefix: str, nodes: Nodes, messages_per_second: int
) -> None:
    """As one that floods (1008), or as one that reads too slowly (1013); reading neither, its link is cut."""
    (node,) = nodes.start(1, messages_per_second=messages_per_second)

    async def story() -> None:
        async with others_play(node, redis, prefix):
            before = memory_mb(node)
            async with Hostile(node) as client, asyncio.timeout(30):
                await client.upgrade()
                with pytest.raises(ConnectionError):
                    await client.send_for_ever(frame(TEXT, A_PING) * 1000)
            await seen(lambda: connections(node) == 20)  # the players' own
            note("a client that asks for ever and never reads: growth", memory_mb(node) - before, "MB")
            assert memory_mb(node) - before < MAX_GROWTH_MB

    asyncio.run(story())


def test_a_client_that_leaves_with_its_answers_unread_is_freed(nodes: Nodes) -> None:
    """It says goodbye and reads nothing more: what waits for it must not keep the connection for ever."""
    (node,) = nodes.start(1, ping_interval_seconds=60)

    async def story() -> None:
        before = descriptors(node)
        async with AsyncExitStack() as stack:
            for size in range(1000, 31_000, 1000):  # from what the kernel takes to what the node cuts off
                client = await stack.enter_async_context(Hostile(node))
                await client.upgrade()
                try:
                    await client.send(frame(PING, bytes(125)) * size + frame(CLOSE, (1000).to_bytes(2, "big")))
                except ConnectionError:
                    continue
            await seen(lambda: descriptors(node) <= before + 2, within_seconds=8)

    asyncio.run(story())


def test_message_floods_end_with_1008(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    (node,) = nodes.start(1)
    messages = [
        A_PING,
        json.dumps({"type": "enqueue", "player_id": "flood", "game_mode": "duel"}).encode(),
        json.dumps({"type": "dequeue"}).encode(),
        b"{" * 100,
    ]

    async def one(message: bytes) -> int:
        async with Hostile(node) as client:
            await client.upgrade()
            await client.send(frame(TEXT, message) * 500)
            return await client.close_code()

    async def story() -> None:
        async with others_play(node, redis, prefix):
            async with asyncio.timeout(10):
                codes = await asyncio.gather(*(one(message) for message in messages for _ in range(5)))
            assert set(codes) == {1008}
            await seen(lambda: not redis.do("EXISTS", f"{prefix}player:flood"))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x" * 100 * 1024), 1009),
        (frame(BINARY, b"x" * 100 * 1024), 1009),
        (frame(TEXT, b"\xff\xfe\xfd"), 1007),
        (b"GET / HTTP/1.1\r\n\r\n" * 10, 1002),
        (frame(3, b"reserved"), 1002),
        (frame(TEXT, b"not JSON {") * 100, 1008),
        (frame(BINARY, b"\x00\x01\x02") * 100, 1008),
    ],
    ids=["100 KiB", "100 KiB, binary", "bad UTF-8", "no frames", "a reserved opcode", "rubbish", "binary"],
)
def test_what_is_not_of_the_protocol_ends_with_its_code(shared: Node, data: bytes, code: int) -> None:
    async def story() -> None:
        async with Hostile(shared) as client, asyncio.timeout(10):
            await client.upgrade()
            await client.send(data)
            assert await client.close_code() == code

    asyncio.run(story())


def test_1000_handshakes_that_never_end(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """500 send half of theirs and 500 nothing at all: closed within 15 s, and nobody else notices."""
    (node,) = nodes.start(1)

    async def story() -> None:
        before = memory_mb(node)
        started = time.monotonic()
        async with AsyncExitStack() as stack:
            async with others_play(node, redis, prefix):
                half_open = [await stack.enter_async_context(Hostile(node)) for _ in range(1000)]
                for client in half_open[:500]:
                    await client.send(UPGRADE[: len(UPGRADE) // 2])
                await seen(lambda: descriptors(node) > 900)
            async with asyncio.timeout(15 - (time.monotonic() - started)):
                assert set(await asyncio.gather(*(client.read() for client in half_open))) == {b""}
        note("1,000 half-open handshakes: all closed", time.monotonic() - started, "s")
        await seen(lambda: descriptors(node) < 100)
        note("1,000 half-open handshakes: growth", memory_mb(node) - before, "MB")

    asyncio.run(story())
