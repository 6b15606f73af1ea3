"""The subscriber on a link that the test holds in its hands; on virtual time. The link itself: `test_pubsub_link`."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from unittest import mock

import pytest
from redis.asyncio import Redis
from structlog.typing import EventDict

from match_server.actors.core import ActorSystem, Ref, Supervision
from match_server.actors.subscriber import CatchUpAll, Subscribe, Subscriber, SubscriberMessage, Subscriptions
from match_server.actors.subscriber import Unsubscribe as UnsubscribeMessage
from match_server.errors import AskTimeout, StoreUnavailable
from match_server.store import pubsub
from match_server.store.pubsub import Notice, PubSubLink
from match_server.store.upkeep import UpkeepStore
from tests.unit.virtual_time import run, until_quiet

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

    async def publish_to_node(self, message: str) -> None:
        self._world.beats += 1
        if self._world.redis_away:
            raise StoreUnavailable("away")
        if not self._world.deaf and self._world.link:
            self._world.link.message(NODE_CHANNEL, message)


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
            link=FakeLink(self), upkeep=FakeUpkeep(self), subscriptions=self.subscriptions, prefix="p:", node="n1"
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


def test_one_subscribe_command_for_all_that_waits() -> None:
    async def scenario() -> None:
        async with world() as w:
            asks = [w.ask(str(number), Listening("c")) for number in range(200)]
            await until_quiet()
            assert w.commands == [("SUBSCRIBE", [channel(str(number)) for number in range(200)])]
            assert all(ask.done() for ask in asks)

    run(scenario())


def test_one_unsubscribe_command_for_all_that_waits() -> None:
    async def scenario() -> None:
        async with world() as w:
            listeners = {name: await w.subscribed(name) for name in "abc"}
            for name, listener in listeners.items():
                w.tell_unsubscribe(name, listener)
            await until_quiet()
            assert w.commands == [("UNSUBSCRIBE", [channel(name) for name in "abc"])]
            assert w.subscriptions.listeners == {}

    run(scenario())


def test_a_subscribe_is_answered_only_once_redis_has_confirmed_it() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.confirms = False
            one, two = w.ask("one", Listening("1")), w.ask("two", Listening("2"))
            await until_quiet()
            assert not one.done()
            w.wire.confirm(channel("two"))
            await until_quiet()
            assert (one.done(), two.done()) == (False, True)
            w.wire.confirm(channel("one"))
            await until_quiet()
            assert one.done()

    run(scenario())


def test_a_second_listener_of_a_confirmed_channel_is_answered_at_once_without_a_command() -> None:
    async def scenario() -> None:
        async with world() as w:
            first = await w.subscribed("ann", "1")
            second = await w.subscribed("ann", "2")
            w.wire.message(channel("ann"), "frame")
            await until_quiet()
            assert first.frames == second.frames == [("ann", b"frame")]
            w.tell_unsubscribe("ann", first)
            await until_quiet()
            assert w.commands == []
            w.tell_unsubscribe("ann", second)
            await until_quiet()
            assert w.commands == [("UNSUBSCRIBE", [channel("ann")])]

    run(scenario())


def test_a_second_listener_of_a_channel_not_confirmed_yet_waits_for_the_confirmation_too() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.confirms = False
            first = w.ask("ann", Listening("1"))
            await until_quiet()
            second = w.ask("ann", Listening("2"))
            await until_quiet()
            assert (first.done(), second.done()) == (False, False)
            w.wire.confirm(channel("ann"))
            await until_quiet()
            assert (first.done(), second.done()) == (True, True)
            assert len(w.commands) == 1

    run(scenario())


def test_a_frame_reaches_only_the_listeners_of_its_player() -> None:
    async def scenario() -> None:
        async with world() as w:
            ann, bob = await w.subscribed("ann"), await w.subscribed("bob")
            w.wire.message(channel("ann"), "1")
            w.wire.message(channel("nobody"), "2")
            w.wire.message(channel("ann"), "3")
            await until_quiet()
            assert ann.frames == [("ann", b"1"), ("ann", b"3")]
            assert bob.frames == []

    run(scenario())


def test_a_channel_let_go_and_asked_for_again_is_confirmed_by_the_last_confirmation_alone() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.confirms = False
            first = Listening("1")
            gone = w.ask("ann", first)
            await until_quiet()
            w.tell_unsubscribe("ann", first)
            await until_quiet()
            asked = w.ask("ann", Listening("2"))
            await until_quiet()
            assert [command for command, _ in w.commands] == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]
            w.wire.confirm(channel("ann"))
            w.wire.confirm(channel("ann"), kind="unsubscribe")
            await until_quiet()
            assert not asked.done()
            w.wire.confirm(channel("ann"))
            await until_quiet()
            assert asked.done()
            assert gone.done()

    run(scenario())


def test_a_channel_let_go_and_asked_for_again_in_one_batch_stays_and_is_answered() -> None:
    """A client whose old connection ends just as its new one enqueues."""

    async def scenario() -> None:
        async with world() as w:
            old = await w.subscribed("ann", "old")
            new = Listening("new")
            w.tell_unsubscribe("ann", old)
            answer = w.ask("ann", new)
            await asyncio.sleep(5)
            assert answer.done()
            w.wire.message(channel("ann"), "frame")
            await until_quiet()
            assert new.frames == [("ann", b"frame")]
            assert old.frames == []

    run(scenario())


def test_a_channel_asked_for_and_let_go_in_one_batch_costs_no_command_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = Listening("c")
            request = Subscribe("ann", listener)
            w.ref.tell(request)
            w.tell_unsubscribe("ann", listener)
            await until_quiet()
            assert w.commands == []
            assert w.subscriptions.listeners == {}
            request.answer(None)

    run(scenario())


def test_letting_go_of_what_was_never_asked_for_changes_nothing() -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = await w.subscribed("ann")
            w.tell_unsubscribe("ann", Listening("stranger"))
            w.tell_unsubscribe("bob", listener)
            await until_quiet()
            assert w.commands == []
            assert w.subscriptions.listeners == {"ann": [listener]}

    run(scenario())


def test_a_broken_link_is_made_anew_with_everything_and_every_listener_catches_up(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with world() as w:
            listeners = [await w.subscribed(name) for name in "abc"]
            w.wire.comes(ConnectionResetError("cut"))
            await asyncio.sleep(0.5)
            assert (w.opened, w.closed) == (2, 1)
            assert w.commands == [("SUBSCRIBE", [NODE_CHANNEL, *map(channel, "abc")])]
            assert [listener.catch_ups for listener in listeners] == [1, 1, 1]
            assert w.subscriptions.confirmed
        assert [line["event"] for line in logs] == ["pubsub_link_broken"]

    run(scenario())


def test_while_redis_is_away_the_link_is_tried_again_and_the_log_says_it_once(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with world() as w:
            w.refuses = True
            w.wire.comes(ConnectionResetError("cut"))
            await asyncio.sleep(5)
            assert w.opened > 10
            assert [w.subscriptions.confirmed] == [False]
            asked = w.ask("ann", Listening("c"))
            await asyncio.sleep(1)
            assert not asked.done()
            w.refuses = False
            await asyncio.sleep(1)
            assert asked.done()
            assert w.subscriptions.confirmed
        assert [line["event"] for line in logs].count("pubsub_link_broken") == 1

    run(scenario())


def test_a_listener_whose_ask_is_answered_by_a_renewed_link_need_not_catch_up() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.refuses = True
            w.wire.comes(ConnectionResetError("cut"))
            await until_quiet()
            listener = Listening("c")
            asked = w.ask("ann", listener)
            w.refuses = False
            await asyncio.sleep(1)
            assert asked.done()
            assert listener.catch_ups == 0

    run(scenario())


def test_a_link_that_breaks_on_a_command_is_made_anew() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.subscribed("ann")
            wire, commands = w.wire, w.commands

            async def broken(channels: Iterable[str]) -> None:
                raise BrokenPipeError

            wire.subscribe = broken  # type: ignore[method-assign]  # this link alone
            asked = w.ask("bob", Listening("c"))
            await until_quiet()
            assert (asked.done(), w.closed) == (False, 1)
            del wire.subscribe
            await asyncio.sleep(1)
            assert asked.done()
            assert commands[-1] == ("SUBSCRIBE", [NODE_CHANNEL, channel("ann"), channel("bob")])

    run(scenario())


def test_a_link_that_goes_silent_is_closed_after_missed_heartbeats_and_made_anew(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = await w.subscribed("ann")
            await asyncio.sleep(20)
            assert (w.opened, w.closed) == (1, 0)
            w.deaf = True
            await asyncio.sleep(2)
            assert w.closed == 0
            await asyncio.sleep(2.5)
            assert w.closed == 1
            w.deaf = False
            await asyncio.sleep(1)
            assert (w.opened, w.closed) == (2, 1)
            assert listener.catch_ups == 1
        assert "pubsub_link_silent" in [line["event"] for line in logs]

    run(scenario())


def test_a_silence_while_redis_itself_is_away_is_not_the_links_fault() -> None:
    async def scenario() -> None:
        async with world() as w:
            w.redis_away = True
            await asyncio.sleep(20)
            assert w.closed == 0
            w.redis_away = False
            await asyncio.sleep(20)
            assert w.closed == 0

    run(scenario())


def test_the_heartbeat_measures_how_long_it_took() -> None:
    async def scenario() -> None:
        async with world() as w:
            now = asyncio.get_running_loop().time()
            w.wire.message(NODE_CHANNEL, f"beat {now - 0.25}")
            await until_quiet()
            assert w.subscriptions.lag_seconds == pytest.approx(0.25, abs=1e-3)

    run(scenario())


def test_a_takeover_reaches_the_connection_that_it_names_and_no_other() -> None:
    async def scenario() -> None:
        async with world() as w:
            old, new = await w.subscribed("ann", "old"), await w.subscribed("ann", "new")
            bob = await w.subscribed("bob", "old")
            w.wire.message(NODE_CHANNEL, "taken_over ann old")
            w.wire.message(NODE_CHANNEL, "taken_over ann unknown")
            w.wire.message(NODE_CHANNEL, "taken_over carl old")
            await until_quiet()
            assert (old.lost, new.lost, bob.lost) == (["ann"], [], [])

    run(scenario())


def test_every_listener_catches_up_when_told_and_every_half_minute() -> None:
    async def scenario() -> None:
        async with world() as w:
            listeners = [await w.subscribed(name) for name in "ab"]
            w.ref.tell(CatchUpAll())
            await until_quiet()
            assert [listener.catch_ups for listener in listeners] == [1, 1]
            await asyncio.sleep(65)
            assert [listener.catch_ups for listener in listeners] == [3, 3]

    run(scenario())


async def crash(w: World) -> FakeLink:
    """Have the subscriber meet a bug; returns the link that it had."""
    old = w.wire
    old.message(NODE_CHANNEL, "taken_over")  # by whom? stands for any bug
    await asyncio.sleep(1)
    assert w.opened == 2
    return old


def test_a_fresh_instance_starts_from_the_subscriptions_of_the_crashed_one() -> None:
    async def scenario() -> None:
        async with world() as w:
            listener = await w.subscribed("ann")
            await crash(w)
            assert w.commands == [("SUBSCRIBE", [NODE_CHANNEL, channel("ann")])]
            assert listener.catch_ups == 1
            w.wire.message(channel("ann"), "frame")
            await until_quiet()
            assert listener.frames == [("ann", b"frame")]

    run(scenario())


def test_a_crashed_instance_does_not_leave_its_link_open() -> None:
    async def scenario() -> None:
        async with world() as w:
            old = await crash(w)
            assert not old.is_open

    run(scenario())


def test_an_ask_that_the_subscriber_never_answers_does_not_outlive_its_listener() -> None:
    """Asks that timed out while Redis was away must not gather."""

    async def scenario() -> None:
        async with world() as w:
            w.refuses = True
            w.wire.comes(ConnectionResetError("cut"))
            await until_quiet()
            requests = []
            for number in range(20):
                listener = Listening("c")
                requests.append(Subscribe(f"player-{number}", listener))
                with pytest.raises(AskTimeout):
                    await w.ref.ask(requests[-1], 1)
                w.tell_unsubscribe(f"player-{number}", listener)
            w.refuses = False
            await asyncio.sleep(1)
            assert w.instances[-1]._waiting == {}

    run(scenario())


def test_stopping_closes_the_link() -> None:
    async def scenario() -> None:
        async with world() as w:
            wire = w.wire
        assert not wire.is_open
        assert w.opened == 1

    run(scenario())


class ClosedWhileSending:
    """What redis-py does when a connection is closed under a command: it has no writer any more."""

    _reader = None
    _writer = mock.Mock()

    def __init__(self) -> None:
        self.link: PubSubLink | None = None

    async def connect(self) -> None:
        pass

    async def disconnect(self, *, nowait: bool) -> None:
        del nowait

    async def send_command(self, *_: object, check_health: bool) -> None:
        del check_health
        if self.link:
            await self.link.close()
        raise AttributeError("'NoneType' object has no attribute 'writelines'")


def test_a_link_that_is_closed_while_it_sends_is_a_broken_link_and_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = ClosedWhileSending()
    monkeypatch.setattr(pubsub, "dedicated_connection", lambda _client: connection)

    async def scenario() -> None:
        link = PubSubLink(Redis())
        await link.open()
        with pytest.raises(AttributeError):
            await link.subscribe(["a"])  # a bug of another kind stays one
        connection.link = link
        with pytest.raises(ConnectionError):
            await link.subscribe(["a"])

    run(scenario())
