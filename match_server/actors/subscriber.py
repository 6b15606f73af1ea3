"""The subscriber: one per node. It owns the node's only pub/sub link, and brings frames from channels to sessions.

A notification is a wake-up, not the truth. When a subscription is renewed, or the node's own heartbeat over the link
goes missing, sessions are told to catch up from their players' records.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

import structlog
from redis import exceptions

from match_server.actors.core import Actor
from match_server.actors.request import Request
from match_server.errors import StoreUnavailable
from match_server.store.pubsub import Notice, PubSubLink
from match_server.store.upkeep import UpkeepStore

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
_MISSED_HEARTBEATS = 2.5
_RECONNECT_SECONDS = 0.1
_CATCH_UP_SECONDS = 30.0
_CATCH_UP_PARTS = 30  # or all sessions of a node would ask at once


class Listener(Protocol):
    """A session, as the subscriber sees it. No method blocks or raises."""

    connection: str

    def deliver(self, player_id: str, frame: bytes) -> None:
        """A frame of this player came over its channel."""

    def taken_over(self, player_id: str) -> None:
        """Redis said that another connection owns the player now."""

    def catch_up(self) -> None:
        """Frames may have been lost: read the player's record."""


class Subscribe(Request[None]):
    """Listen to a player's channel. Answered once Redis has confirmed it."""

    __slots__ = ("listener", "player_id")

    def __init__(self, player_id: str, listener: Listener) -> None:
        super().__init__()
        self.player_id = player_id
        self.listener = listener


class Unsubscribe:
    """Stop listening to a player's channel."""

    __slots__ = ("listener", "player_id")

    def __init__(self, player_id: str, listener: Listener) -> None:
        self.player_id = player_id
        self.listener = listener


class CatchUpAll:
    """Have every session read its player's record: this node was away, or others thought so."""

    __slots__ = ()


class _Beat:
    __slots__ = ()


class _PeriodicCatchUp:
    __slots__ = ()


SubscriberMessage: TypeAlias = Subscribe | Unsubscribe | CatchUpAll | _Beat | _PeriodicCatchUp


class Subscriptions:
    """Which sessions listen to which player. It outlives a crashed subscriber, and the next one starts from it."""

    def __init__(self) -> None:
        self.listeners: dict[str, list[Listener]] = {}
        self.lag_seconds: float | None = None  # of the last heartbeat over the link; None if none comes
        self.confirmed = False  # the node's own channel is subscribed: the link works

    def add(self, player_id: str, listener: Listener) -> bool:
        """Returns whether it is the first one."""
        there = self.listeners.setdefault(player_id, [])
        if listener not in there:
            there.append(listener)
        return len(there) == 1

    def remove(self, player_id: str, listener: Listener) -> bool:
        """Returns whether it was the last one."""
        there = self.listeners.get(player_id, [])
        if listener not in there:
            return False
        there.remove(listener)
        if not there:
            del self.listeners[player_id]
        return not there


class Subscriber(Actor[SubscriberMessage]):
    """Handles its mailbox in batches: one SUBSCRIBE and one UNSUBSCRIBE command for all that waits."""

    def __init__(
        self,
        *,
        link: PubSubLink,
        upkeep: UpkeepStore,
        subscriptions: Subscriptions,
        prefix: str,
        node: str,
        heard: Callable[[str], None],
    ) -> None:
        """`prefix` is what the name of every channel begins with; `heard` gets the inquiries of other nodes."""
        self._heard_inquiry = heard
        self._link = link
        self._upkeep = upkeep
        self._subscriptions = subscriptions
        self._player_channel = f"{prefix}notifications:"
        self._node_channel = f"{prefix}node:{node}"
        self._waiting: dict[str, list[Subscribe]] = {}  # by channel, until its subscription is confirmed
        self._unconfirmed: Counter[str] = Counter()  # commands sent per channel, and not confirmed yet
        self._round: list[str] = []  # players whose periodic check is yet to come
        self._part = 0  # of them are checked at a time
        self._turn = 0
        self._heard = 0.0  # when a message of this node itself came over the link, or when the link was opened
        self._beat_heard = asyncio.get_running_loop().time()  # when its last heartbeat came back, over any link

    async def started(self) -> None:
        """Open the link, and keep it open."""
        self.background(self._keep_link())
        self.every(HEARTBEAT_SECONDS, _Beat)
        self.every(_CATCH_UP_SECONDS / _CATCH_UP_PARTS, _PeriodicCatchUp)

    async def stopped(self) -> None:
        """Close the link."""
        await self._link.close()

    async def receive(self, batch: Sequence[SubscriberMessage]) -> None:
        """Change subscriptions, in order of arrival, with one command of each kind."""
        subscribe: dict[str, None] = {}
        unsubscribe: dict[str, None] = {}
        for message in batch:
            match message:
                case Subscribe():
                    self._add(message, subscribe, unsubscribe)
                case Unsubscribe():
                    self._remove(message, subscribe, unsubscribe)
                case CatchUpAll():
                    self._catch_up(self._subscriptions.listeners)
                case _PeriodicCatchUp():
                    self._catch_up(self._next_part())
                case _Beat():
                    await self._beat()
        await self._change(list(subscribe), list(unsubscribe))

    def _add(self, message: Subscribe, subscribe: dict[str, None], unsubscribe: dict[str, None]) -> None:
        channel = self._player_channel + message.player_id
        first = self._subscriptions.add(message.player_id, message.listener)
        if first and unsubscribe.pop(channel, self) is self:
            subscribe[channel] = None
        if channel in subscribe or self._unconfirmed[channel] or not self._subscriptions.confirmed:
            self._waiting.setdefault(channel, []).append(message)
        else:
            message.answer(None)

    def _remove(self, message: Unsubscribe, subscribe: dict[str, None], unsubscribe: dict[str, None]) -> None:
        channel = self._player_channel + message.player_id
        if not self._subscriptions.remove(message.player_id, message.listener):
            return
        for given_up in self._waiting.pop(channel, ()):
            given_up.answer(None)
        if subscribe.pop(channel, self) is self:
            unsubscribe[channel] = None

    async def _change(self, subscribe: list[str], unsubscribe: list[str]) -> None:
        if not self._link.is_open:
            return  # when it is open again, all channels are subscribed
        try:
            if unsubscribe:
                await self._link.unsubscribe(unsubscribe)
            if subscribe:
                self._unconfirmed.update(subscribe)
                await self._link.subscribe(subscribe)
        except (exceptions.RedisError, OSError):
            await self._link.close()  # the reader notices, and opens a new one

    async def _keep_link(self) -> None:
        """Read from the link, and open a new one whenever it breaks. Ends only with the actor."""
        while True:
            try:
                await self._link.open()
                await self._subscribe_everything()
                while True:
                    for notice in await self._link.read():
                        self._handle(notice)
            except (exceptions.RedisError, OSError) as error:
                if self._subscriptions.confirmed:
                    log.warning("pubsub_link_broken", error=str(error))
            finally:  # also when this actor crashes: the next instance opens its own link
                self._subscriptions.confirmed = False
                await self._link.close()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _subscribe_everything(self) -> None:
        self._heard = asyncio.get_running_loop().time()
        channels = [self._player_channel + player_id for player_id in self._subscriptions.listeners]
        self._unconfirmed = Counter(channels)
        await self._link.subscribe([self._node_channel, *channels])

    def _handle(self, notice: Notice) -> None:
        if notice.channel == self._node_channel:
            self._handle_own(notice)
        elif notice.kind == "message":
            player_id = notice.channel.removeprefix(self._player_channel)
            for listener in self._subscriptions.listeners.get(player_id, ()):
                listener.deliver(player_id, notice.data)
        elif notice.kind == "subscribe":
            self._confirmed(notice.channel)

    def _confirmed(self, channel: str) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] > 0:
            return  # unsubscribed and subscribed again meanwhile: only the last confirmation counts
        del self._unconfirmed[channel]
        waiting = self._waiting.pop(channel, [])
        for request in waiting:
            request.answer(None)
        asked = {id(request.listener) for request in waiting}
        player_id = channel.removeprefix(self._player_channel)
        for listener in self._subscriptions.listeners.get(player_id, ()):
            if id(listener) not in asked:  # the link is new: frames may have been lost
                listener.catch_up()

    def _handle_own(self, notice: Notice) -> None:
        self._heard = asyncio.get_running_loop().time()
        if notice.kind == "subscribe":
            self._subscriptions.confirmed = True
            return
        if notice.kind == "unsubscribe":  # nobody asked for that
            raise ConnectionError("the slot of the pool has moved to another server")
        word, *rest = notice.data.decode().split(" ")
        if word == "beat":
            self._beat_heard = self._heard
            self._subscriptions.lag_seconds = self._heard - float(rest[0])
        elif word == "taken_over":
            player_id, connection = rest
            for listener in list(self._subscriptions.listeners.get(player_id, ())):
                if listener.connection == connection:
                    listener.taken_over(player_id)
        elif word in {"ask", "answer"}:
            self._heard_inquiry(notice.data.decode())

    async def _beat(self) -> None:
        """Send this node's heartbeat to itself. A half-open link raises no error; it is only silent.

        While no heartbeat comes back, over however many links, every session reads its player's record at each beat
        (docs/races.md, 27).
        """
        now = asyncio.get_running_loop().time()
        silence_seconds = _MISSED_HEARTBEATS * HEARTBEAT_SECONDS
        if now - self._beat_heard > silence_seconds:
            self._subscriptions.lag_seconds = None
            self._catch_up(self._subscriptions.listeners)
        if self._link.is_open and now - self._heard > silence_seconds:
            log.warning("pubsub_link_silent", seconds=round(now - self._heard, 1))
            await self._link.close()
        try:
            await self._upkeep.publish(self._node_channel, f"beat {now}")
        except StoreUnavailable:
            self._heard = now  # Redis itself is away, so the silence says nothing about the link

    def _next_part(self) -> list[str]:
        """The players whose turn it is: each comes once in a round of `_CATCH_UP_PARTS`."""
        self._turn += 1
        if self._turn % _CATCH_UP_PARTS == 0:
            self._round = list(self._subscriptions.listeners)
            self._part = math.ceil(len(self._round) / _CATCH_UP_PARTS)
        turn = self._round[: self._part]
        del self._round[: self._part]
        return turn

    def _catch_up(self, players: Iterable[str]) -> None:
        for player_id in list(players):
            for listener in self._subscriptions.listeners.get(player_id, ()):
                listener.catch_up()
