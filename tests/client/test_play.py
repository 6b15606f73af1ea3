"""What a matched player finds at its dedicated server."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from random import Random

import pytest
from websockets.asyncio.server import ServerConnection, serve

from match_server.protocol import MatchFound
from test_client.play import RoomVisit
from test_client.room_frames import FrameForm
from test_client.rooms import RoomLedger

Handler = Callable[[ServerConnection], Awaitable[None]]


def says(*frames: str | bytes) -> Handler:
    async def handler(link: ServerConnection) -> None:
        await link.recv()
        for frame in frames:
            await link.send(frame)
        await link.close()

    return handler


def join(address: str, token: str | None, *, seconds: float = 0) -> Coroutine[None, None, str | None]:
    found = MatchFound(seq=1, session_id="s", server_address=address, join_token=token, players=("me", "you"))
    rng = Random(1)  # noqa: S311 - no secret
    visit = RoomVisit(
        found, "me", ledger=RoomLedger(), seconds=seconds, move_hz=10, manner="plays", form=FrameForm.JSON, rng=rng
    )
    return visit.run()


def join_at(handler: Handler) -> str | None:
    async def scenario() -> str | None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await join(f"ws://127.0.0.1:{port}/play", "the.join.token")

    return asyncio.run(scenario())


def test_is_welcomed() -> None:
    assert join_at(says('{"type": "welcome", "session_id": "s"}')) is None


def test_says_who_it_is() -> None:
    heard = []

    async def remember(link: ServerConnection) -> None:
        heard.append(json.loads(await link.recv()))
        await link.send('{"type": "welcome"}')

    assert join_at(remember) is None
    assert heard == [{"type": "join", "join_token": "the.join.token"}]


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
    assert asyncio.run(join(f"ws://127.0.0.1:{port}/", "token")) == "no_connection"


def test_without_a_token_there_is_nothing_to_try() -> None:
    assert asyncio.run(join("ws://127.0.0.1:7777", None)) == "no_token"


def test_an_address_of_another_kind_is_not_for_us() -> None:
    assert asyncio.run(join("udp://127.0.0.1:7777", "token")) is None
    assert asyncio.run(join("127.0.0.1:7777", "token")) is None


WELCOME = {
    "type": "welcome",
    "session_id": "s",
    "tick_hz": 20,
    "speed": 10,
    "bounds": {axis: [-50, 50] for axis in "xyz"},
    "players": [{"number": 1, "player_id": "me", "x": 0, "y": 0, "z": 0, "yaw": 0, "seq": 0}],
}


def play_at(handler: Handler) -> str | None:
    """Play for a second."""

    async def scenario() -> str | None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await join(f"ws://127.0.0.1:{port}/play", "the.join.token", seconds=1)

    return asyncio.run(scenario())


def test_who_loses_its_link_comes_back_with_the_same_token() -> None:
    """As when the worker with its room is killed."""
    tokens = []

    async def lose_the_first(link: ServerConnection) -> None:
        tokens.append(json.loads(await link.recv())["join_token"])
        if len(tokens) == 2:
            link.transport.abort()  # its room is not back yet
            return
        await link.send(json.dumps(WELCOME))
        if len(tokens) == 1:
            link.transport.abort()
        async for _ in link:
            pass

    assert play_at(lose_the_first) is None
    assert tokens == ["the.join.token"] * 3


def test_who_finds_its_room_gone_does_not_go_on_asking() -> None:
    joins = 0

    async def gone_after_the_first(link: ServerConnection) -> None:
        nonlocal joins
        joins += 1
        await link.recv()
        if joins == 1:
            await link.send(json.dumps(WELCOME))
            link.transport.abort()
        await link.close(4410)

    assert play_at(gone_after_the_first) == "room_gone"
    assert joins == 2
