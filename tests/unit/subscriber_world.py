"""The subscriber with its link and its Redis played by the test."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from match_server.actors.core import ActorSystem, Ref, Supervision
from match_server.actors.subscriber import Subscribe, Subscriber, SubscriberMessage, Subscriptions
from match_server.actors.subscriber import Unsubscribe as UnsubscribeMessage
from match_server.errors import StoreUnavailable
from match_server.store.pubsub import Notice, PubSubLink
from match_server.store.upkeep import UpkeepStore
from tests.unit.virtual_time import until_quiet

NODE_CHANNEL = "p:node:n1"
FOREVER = 1e6


def channel(player_id: str) -> str:
    return f"p:notifications:{player_id}"


class FakeLink(PubSubLink):
    """Writes down each command; confirms at once, or when the test says so."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._open = False
        self._notices: asyncio.Queue[Notice | Exception] = asyncio.Queue()

    @property
    def is_open(self) -> bool:
        return self._open

    async def open(self) -> None:
        self._world.opened += 1
        if self._world.refuses:
            raise ConnectionRefusedError("nobody listens")
        self._open = True
        self._notices = asyncio.Queue()
        self._world.link = self

    async def close(self) -> None:
        if self._open:
            self._open = False
            self._world.closed += 1
            self.comes(ConnectionError("the link is closed"))

    async def subscribe(self, channels: Iterable[str]) -> None:
        self._say("SUBSCRIBE", list(channels))

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        self._say("UNSUBSCRIBE", list(channels))

    async def read(self) -> list[Notice]:
        notice = await self._notices.get()
        if isinstance(notice, Exception):
            raise notice
        return [notice]

    def _say(self, command: str, channels: list[str]) -> None:
        if not self._open:
            raise ConnectionError("the link is closed")
        self._world.commands.append((command, channels))
        if self._world.confirms:
            self.confirm(*channels, kind=command.lower())

    def confirm(self, *channels: str, kind: str = "subscribe") -> None:
        for name in channels:
            self.comes(Notice(kind, name, b""))

    def message(self, name: str, data: str) -> None:
        self.comes(Notice("message", name, data.encode()))

    def comes(self, notice: Notice | Exception) -> None:
        self._notices.put_nowait(notice)


class FakeUpkeep(UpkeepStore):
    """Publishes to the node by way of the link, unless it is deaf or Redis is away."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def publish(self, channel: str, message: str) -> None:
        self._world.beats += 1
        if self._world.redis_away:
            raise StoreUnavailable("away")
        if not self._world.deaf and self._world.link:
            self._world.link.message(channel, message)


class Listening:
    """A session, as the subscriber sees it."""

    def __init__(self, connection: str) -> None:
        self.connection = connection
        self.frames: list[tuple[str, bytes]] = []
        self.catch_ups = 0
        self.lost: list[str] = []

    def deliver(self, player_id: str, frame: bytes) -> None:
        self.frames.append((player_id, frame))

    def taken_over(self, player_id: str) -> None:
        self.lost.append(player_id)

    def catch_up(self) -> None:
        self.catch_ups += 1


class World:
    """The subscriber, its link and its Redis."""

    def __init__(self, system: ActorSystem) -> None:
        self.commands: list[tuple[str, list[str]]] = []
        self.opened = self.closed = self.beats = 0
        self.confirms, self.refuses, self.deaf, self.redis_away = True, False, False, False
        self.link: FakeLink | None = None
        self.subscriptions = Subscriptions()
        self.heard: list[str] = []  # inquiries of other nodes, and their answers
        self.instances: list[Subscriber] = []
        self.ref: Ref[SubscriberMessage] = system.spawn(
            "subscriber",
            self._make,
            mailbox_limit=1000,
            phase=0,
            supervision=Supervision(),
        )

    def _make(self) -> Subscriber:
        instance = Subscriber(
            link=FakeLink(self),
            upkeep=FakeUpkeep(self),
            subscriptions=self.subscriptions,
            prefix="p:",
            node="n1",
            heard=self.heard.append,
        )
        self.instances.append(instance)
        return instance

    @property
    def wire(self) -> FakeLink:
        assert self.link
        return self.link

    def ask(self, player_id: str, listener: Listening) -> "asyncio.Future[None]":
        return asyncio.ensure_future(self.ref.ask(Subscribe(player_id, listener), FOREVER))

    async def subscribed(self, player_id: str, connection: str = "c") -> Listening:
        listener = Listening(connection)
        await self.ask(player_id, listener)
        self.commands.clear()
        return listener

    def tell_unsubscribe(self, player_id: str, listener: Listening) -> None:
        self.ref.tell(UnsubscribeMessage(player_id, listener))


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with ActorSystem() as system:
        w = World(system)
        try:
            await until_quiet()
            assert w.commands == [("SUBSCRIBE", [NODE_CHANNEL])]
            w.commands.clear()
            yield w
        finally:
            await system.stop(10)
