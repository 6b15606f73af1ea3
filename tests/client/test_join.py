"""What a matched player finds at its dedicated server."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from test_client.join import join

Handler = Callable[[ServerConnection], Awaitable[None]]


def says(*frames: str | bytes) -> Handler:
    async def handler(link: ServerConnection) -> None:
        for frame in frames:
            await link.send(frame)
        await link.close()

    return handler


def join_at(handler: Handler, *, query: str = "") -> str | None:
    async def scenario() -> str | None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await join(f"ws://127.0.0.1:{port}/play{query}", "me@home")

    return asyncio.run(scenario())


def test_is_welcomed() -> None:
    assert join_at(says('{"type": "welcome", "session_id": "s"}')) is None


@pytest.mark.parametrize(
    ("query", "path"), [("", "/play?player_id=me%40home"), ("?a=b", "/play?a=b&player_id=me%40home")]
)
def test_says_who_it_is(query: str, path: str) -> None:
    paths = []

    async def remember(link: ServerConnection) -> None:
        paths.append(link.request.path if link.request else None)
        await link.send('{"type": "welcome"}')

    assert join_at(remember, query=query) is None
    assert paths == [path]


@pytest.mark.parametrize("frame", ['{"type": "go away"}', "[]", "hello", b"\xff"])
def test_any_other_frame_is_no_welcome(frame: str | bytes) -> None:
    assert join_at(says(frame)) == "no_welcome"


def test_a_closed_door_is_no_welcome() -> None:
    assert join_at(says()) == "no_welcome"


def test_nobody_there() -> None:
    async def closed_port() -> int:
        async with serve(says(), "127.0.0.1", 0) as server:
            return int(next(iter(server.sockets)).getsockname()[1])

    port = asyncio.run(closed_port())
    assert asyncio.run(join(f"ws://127.0.0.1:{port}/", "me")) == "no_connection"


def test_an_address_of_another_kind_is_not_for_us() -> None:
    assert asyncio.run(join("udp://127.0.0.1:7777", "me")) is None
    assert asyncio.run(join("127.0.0.1:7777", "me")) is None
