"""What connections leave behind when they have ended: nothing, without the garbage collector's help.

It looks through what lives long only rarely (match_server.app), so what they left to it would pile up for hours.
"""

import asyncio
import gc
import time
from collections import Counter

import httpx

from match_server.app import running_node
from match_server.config import load_settings
from match_server.protocol import Queued
from test_client.client import PlayerClient
from test_client.journey import Journey

CONNECTIONS = 20
WITHIN_SECONDS = 10.0  # a timer of the protocol's holds a closed connection for five
LOOK_SECONDS = 0.1


def alive() -> Counter[str]:
    """How many objects of the service there are, by their kind."""
    return Counter(
        kind.__qualname__ for kind in map(type, gc.get_objects()) if kind.__module__.startswith("match_server")
    )


async def ready(base: str) -> None:
    async with httpx.AsyncClient(base_url=base, trust_env=False) as http:
        while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - another program's event, to a client
            await asyncio.sleep(LOOK_SECONDS)


async def play(address: str, name: str) -> None:
    async with PlayerClient(Journey(name, "Normal_1v1"), [address]) as player:
        await player.open()
        await player.wait_for(Queued)


def test_ended_connections_leave_nothing_for_the_garbage_collector(redis_url: str, prefix: str) -> None:
    async def story() -> dict[str, int]:
        async with running_node(load_settings(port=0, redis_url=redis_url, key_prefix=prefix)) as node:
            await ready(f"http://127.0.0.1:{node.port}")
            await play(f"ws://127.0.0.1:{node.port}/ws/", "first")  # what is made once
            before = alive()
            for number in range(CONNECTIONS):
                await play(f"ws://127.0.0.1:{node.port}/ws/", f"p{number}")
            deadline = time.monotonic() + WITHIN_SECONDS
            while True:
                left = {kind: count for kind, count in (alive() - before).items() if count >= CONNECTIONS}
                if not left or time.monotonic() > deadline:
                    return left
                await asyncio.sleep(LOOK_SECONDS)

    gc.disable()
    try:
        assert asyncio.run(story()) == {}
    finally:
        gc.enable()
