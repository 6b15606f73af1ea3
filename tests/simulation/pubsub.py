"""Simulated pub/sub links: what is really published, delivered in order, unless a link breaks or falls silent."""

import asyncio
from collections.abc import Iterable
from random import Random

from redis import exceptions

from match_server.store.pubsub import Notice, PubSubLink
from tests.simulation.database import Database
from tests.simulation.lines import Line
from tests.simulation.node_redis import NodeRedis


class Hub:
    """All links of a simulation."""

    def __init__(self) -> None:
        self.links: list[SimulatedLink] = []

    def publish(self, channel: str, data: bytes) -> None:
        """Bring a message to every link that listens."""
        for link in self.links:
            if channel in link.channels:
                link.bring(Notice("message", channel, data))

    def break_all(self) -> None:
        """Redis has gone."""
        for link in list(self.links):
            link.sever()


class SimulatedLink(PubSubLink):
    """One node's link; the methods are those of `PubSubLink`. `silent`: it looks open, and nothing passes."""

    def __init__(self, hub: Hub, redis: NodeRedis, database: Database, chance: Random) -> None:
        self.channels: set[str] = set()
        self.silent = False
        self._hub = hub
        self._redis = redis
        self._database = database
        self._chance = chance
        self._open = False
        self._arrived: asyncio.Queue[Notice | None] = asyncio.Queue()
        self._inward = Line(self._arrived.put_nowait, chance)
        self._outward = Line(self._carry_out, chance)

    @property
    def is_open(self) -> bool:
        """See `PubSubLink.is_open`."""
        return self._open

    async def open(self) -> None:
        """See `PubSubLink.open`."""
        await self._redis.connect()
        self._arrived = asyncio.Queue()
        self._inward = Line(self._arrived.put_nowait, self._chance)
        self._outward = Line(self._carry_out, self._chance)
        self.channels = set()
        self.silent = False
        self._open = True
        self._hub.links.append(self)

    async def close(self) -> None:
        """See `PubSubLink.close`."""
        self._open = False
        self.sever()

    async def subscribe(self, channels: Iterable[str]) -> None:
        """See `PubSubLink.subscribe`."""
        self._command("subscribe", channels)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        """See `PubSubLink.unsubscribe`."""
        self._command("unsubscribe", channels)

    async def read(self) -> list[Notice]:
        """See `PubSubLink.read`."""
        notice = await self._arrived.get() if self._open else None
        if notice is None:
            raise exceptions.ConnectionError("Connection closed by server.")
        return [notice]

    # --- the other end ---

    def bring(self, notice: Notice) -> None:
        """Send a notice to the node."""
        if not self.silent:
            self._inward.put(notice)

    def sever(self) -> None:
        """Break; the reader hears of it."""
        if self in self._hub.links:
            self._hub.links.remove(self)
            self._inward.cut()
            self._outward.cut()
            self._arrived.put_nowait(None)

    def _command(self, kind: str, channels: Iterable[str]) -> None:
        if self not in self._hub.links:
            raise exceptions.ConnectionError("Connection closed by server.")
        paused = self._database.paused_until - asyncio.get_running_loop().time()
        self._outward.put((kind, list(channels)), max(0.0, paused))

    def _carry_out(self, command: tuple[str, list[str]]) -> None:
        kind, channels = command
        if self.silent:
            return
        for channel in channels:
            if kind == "subscribe":
                self.channels.add(channel)
            else:
                self.channels.discard(channel)
            self.bring(Notice(kind, channel, b""))
