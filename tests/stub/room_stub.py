"""A served stub with one session of ann and bob, and clients that hold tokens for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dedicated_server_stub.app import create_app, room_routes
from dedicated_server_stub.call_tokens import CallTokens
from dedicated_server_stub.faults import Faults
from dedicated_server_stub.hosting import Host
from dedicated_server_stub.join_tokens import JoinTokens, PublishedKeys
from dedicated_server_stub.operators import Operators
from dedicated_server_stub.options import FaultOptions
from dedicated_server_stub.players import PlayersSocket
from dedicated_server_stub.presence.calls import RoomCalls
from dedicated_server_stub.presence.memory import MemoryPresence
from dedicated_server_stub.presence.statistics import Statistics
from dedicated_server_stub.presence.watchers import describe
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import RoomSettings
from dedicated_server_stub.sessions import SessionRegistry
from dedicated_server_stub.web import WebServer, listen, web_config
from match_server.signing import SigningKeys, new_key

SERVER_ID = "stub-1"
SESSION_ID = "s-1"
FAST = RoomSettings(tick_hz=100, rejoin_seconds=30)
Frame = dict[str, Any]


class Pool:
    """The side of the match server: signs tokens, and publishes its keys."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self.signing = SigningKeys(now=now)
        self.signing.learn([new_key()])

    async def publish(self) -> Frame:
        return self.signing.public()

    def token(self, player_id: str, *, session_id: str = SESSION_ID, server_id: str = SERVER_ID) -> str:
        (token,) = self.signing.join_tokens([player_id], session_id=session_id, server_id=server_id, settled={})
        return token


def any_operators(rooms: Rooms) -> Operators:
    """For tests of what is not a call to a room: they see the rooms of this process."""
    presence = MemoryPresence(clock=time.monotonic)
    statistics = Statistics(presence, lambda: describe(rooms, process="p-1", server_id=SERVER_ID, address="ws://here"))
    return Operators(statistics, RoomCalls(presence))


def any_calls() -> CallTokens:
    """For tests of what is not who calls: a call without a token is good."""
    return CallTokens(PublishedKeys(Pool().publish), server_id=SERVER_ID, required=False)


class RoomClient:
    """A connection that remembers what it has heard."""

    def __init__(self, link: ClientConnection) -> None:
        self.link = link
        self.heard: list[Frame] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.link.send(json.dumps({"type": kind, **fields}))

    async def hear(self, kind: str, **fields: Any) -> Frame:
        """The next frame of that kind with these fields; the ones before it are remembered."""
        async with asyncio.timeout(10):
            while True:
                frame: Frame = json.loads(await self.link.recv())
                self.heard.append(frame)
                if frame["type"] == kind and fields.items() <= frame.items():
                    return frame

    async def hear_move(self, player_id: str, seq: int) -> Frame:
        """What the state says of a player once this intent of it is applied."""
        while True:
            for player in (await self.hear("state"))["players"]:
                if (player["player_id"], player["seq"]) == (player_id, seq):
                    return player  # type: ignore[no-any-return]  # JSON

    async def closed(self) -> int | None:
        """Read to the end; return the code."""
        with pytest.raises(ConnectionClosed):
            await self.hear("nothing")
        return self.link.close_code


class Stub:
    """A served host; `ended` gets the sessions that are over, with their results."""

    def __init__(self, rooms: RoomSettings = FAST, *, messages_per_second: float = 1000) -> None:
        self.ended: asyncio.Queue[tuple[str, Frame | None]] = asyncio.Queue()
        self.pool = Pool()
        sessions = SessionRegistry(capacity=5, limit_seconds=None, clock=lambda: 0.0)
        sessions.create(key="k", session_id=SESSION_ID, game_mode="duel", players=("ann", "bob", "cid"))
        self.rooms = Rooms(rooms)
        self.host = Host(sessions, self.rooms, report_end=lambda *end: self.ended.put_nowait(end))
        tokens = JoinTokens(PublishedKeys(self.pool.publish), server_id=SERVER_ID)
        self.players = PlayersSocket(sessions, self.rooms, tokens, messages_per_second=messages_per_second)
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stub"]:
        with listen("127.0.0.1", 0) as listener:
            self.url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
            faults = Faults(FaultOptions())
            app = create_app(
                self.host,
                faults,
                any_calls(),
                any_operators(self.rooms),
                server_id=SERVER_ID,
                batch=True,
                more=room_routes(self.rooms, self.players),
            )
            web = WebServer(web_config(app))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(web.serve(sockets=[listener]))
                yield self
                self.host.end_all()
                await self.host.rooms.close(0)
                web.should_exit = True

    def connect(self, session_id: str = SESSION_ID, **options: Any) -> AbstractAsyncContextManager[ClientConnection]:
        return connect(f"{self.url}/play/{session_id}", proxy=None, compression=None, **options)

    @asynccontextmanager
    async def join(self, player_id: str, *, token: str | None = None, **options: Any) -> AsyncIterator[RoomClient]:
        """Join and be welcomed."""
        async with self.connect(**options) as link:
            client = RoomClient(link)
            await client.say("join", join_token=token or self.pool.token(player_id))
            await client.hear("welcome")
            yield client

    async def refusal(self, first: str | None, *, session_id: str = SESSION_ID) -> int | None:
        """Send a first frame, and return the code of the close that answers it."""
        async with self.connect(session_id) as link:
            with suppress(ConnectionClosed):  # closed before it said anything
                if first is not None:
                    await link.send(first)
            return await RoomClient(link).closed()


def play(scenario: Callable[[Stub], Awaitable[None]], stub: Callable[[], Stub] = Stub) -> None:
    async def with_stub() -> None:
        async with asyncio.timeout(40), stub().running() as running:
            await scenario(running)

    asyncio.run(with_stub())
