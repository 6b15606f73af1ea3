import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dedicated_server_stub.app import create_app
from dedicated_server_stub.faults import Faults
from dedicated_server_stub.game import Game
from dedicated_server_stub.options import FaultOptions
from dedicated_server_stub.sessions import SessionRegistry
from dedicated_server_stub.web import WebServer, listen, web_config


class Stub:
    """A served game with one session `s-1` of ann and bob."""

    def __init__(self, *, ends_when_left: bool = False) -> None:
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        sessions = SessionRegistry(capacity=5, limit_seconds=None, clock=lambda: 0.0)
        sessions.create(key="k", session_id="s-1", game_mode="duel", players=("ann", "bob"))
        self.game = Game(sessions, report_end=self.ended.put_nowait, ends_when_left=ends_when_left)
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stub"]:
        with listen("127.0.0.1", 0) as listener:
            self.url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
            faults = Faults(FaultOptions())
            app = create_app(self.game, faults, server_id="stub-1", play_address=self.url, batch=True)
            web = WebServer(web_config(app))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(web.serve(sockets=[listener]))
                yield self
                web.should_exit = True

    def join(self, player: str, session_id: str = "s-1") -> connect:
        return connect(f"{self.url}/play/{session_id}?player_id={player}", proxy=None)


async def hear(player: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await player.recv())
    return message


def run(scenario: Callable[[Stub], Awaitable[None]], **options: Any) -> None:
    async def with_stub() -> None:
        async with asyncio.timeout(20), Stub(**options).running() as stub:
            await scenario(stub)

    asyncio.run(with_stub())


def test_players_join_talk_and_leave() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann:
            assert (await hear(ann))["present"] == ["ann"]
            async with stub.join("bob") as bob:
                assert (await hear(bob))["present"] == ["ann", "bob"]
                assert await hear(ann) == {"type": "joined", "player_id": "bob"}
                await bob.send("hello")
                await bob.send(b"binary is not for us")
                await bob.send("again")
                for player in (ann, bob):
                    assert await hear(player) == {"type": "message", "from": "bob", "text": "hello"}
                    assert await hear(player) == {"type": "message", "from": "bob", "text": "again"}
            assert await hear(ann) == {"type": "left", "player_id": "bob"}

    run(scenario)


@pytest.mark.parametrize(
    ("player", "session_id", "code"),
    [("ann", "unknown", 4404), ("eve", "s-1", 4403), ("", "s-1", 4403)],
)
def test_strangers_are_turned_away_with_the_reason(player: str, session_id: str, code: int) -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join(player, session_id) as stranger:
            with pytest.raises(ConnectionClosed):
                await stranger.recv()
            assert stranger.close_code == code

    run(scenario)


def test_the_end_of_the_session_closes_every_socket() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            for player in (ann, bob):
                assert (await hear(player))["type"] == "welcome"
            await hear(ann)
            stub.game.end("s-1")
            for player in (ann, bob):
                assert await hear(player) == {"type": "ended"}
                with pytest.raises(ConnectionClosed):
                    await player.recv()
                assert player.close_code == 1000
        assert await stub.ended.get() == "s-1"

    run(scenario)


def test_a_second_connection_of_a_player_replaces_the_first() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as older:
            await hear(older)
            async with stub.join("ann") as newer:
                assert (await hear(newer))["present"] == ["ann"]
                with pytest.raises(ConnectionClosed):
                    await older.recv()
                assert older.close_code == 4000
                await newer.send("still here")
                assert (await hear(newer))["text"] == "still here"

    run(scenario)


def test_a_session_without_a_time_ends_when_the_last_player_leaves() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob:
            await hear(bob)
            async with stub.join("ann") as ann:
                await hear(ann)
            assert await hear(bob) == {"type": "joined", "player_id": "ann"}
            assert await hear(bob) == {"type": "left", "player_id": "ann"}
            assert len(stub.game.sessions) == 1
        assert await stub.ended.get() == "s-1"
        assert len(stub.game.sessions) == 0

    run(scenario, ends_when_left=True)


def test_a_connection_that_breaks_off_leaves_its_session() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob:
            await hear(bob)
            async with stub.join("ann") as ann:
                await hear(bob)
                ann.transport.abort()
                assert await hear(bob) == {"type": "left", "player_id": "ann"}

    run(scenario)
