"""The gateway, without a socket: what it leaves with the session."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from match_server.actors.mailbox import Closed, Inbound
from match_server.actors.services import SessionContext
from match_server.config import Settings
from match_server.redis_clock import RedisClock
from match_server.web.gateway import Gateway
from match_server.web.limits import ConnectionLimit
from match_server.web.player_tokens import PlayerTokens
from match_server.web.websocket_protocol import SCOPE_KEY

SECOND_NS = 1_000_000_000


class Mailbox:
    """Keeps what a session would be told; as an actor system, it is every session's."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def spawn(self, *_: Any, **__: Any) -> "Mailbox":
        return self

    def tell(self, message: Any) -> None:
        self.messages.append(message)


class Link:
    """A WebSocket connection, at the node's end."""

    def __init__(self) -> None:
        self.receiver: Callable[[str | None], None] | None = None
        self.peer_closed = True
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.events.put_nowait({"type": "websocket.connect"})
        self.accepted = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        return await self.events.get()

    async def send(self, _event: Any) -> None:
        self.accepted.set()

    def close(self, code: int) -> None:
        self.events.put_nowait({"type": "websocket.disconnect", "code": code})

    async def say(self, text: str) -> None:
        await self.accepted.wait()
        await asyncio.sleep(0)
        assert self.receiver
        self.receiver(text)


def test_a_message_says_when_it_was_received_however_long_it_then_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Redis' clock: all nodes' claims to a player compare, whenever they are carried out (docs/races.md, 23)."""
    own_ns = 5 * SECOND_NS
    monkeypatch.setattr(time, "monotonic_ns", lambda: own_ns)
    clock, mailbox = RedisClock(), Mailbox()
    clock.set(1_000_000_000)
    gateway = Gateway(
        settings=Settings(_env_file=None),
        system=cast("Any", mailbox),
        context=cast("SessionContext", SimpleNamespace(clock=clock, events=None)),
        tokens=PlayerTokens(key=SecretStr("")),
        limit=ConnectionLimit(total=1, per_address=0, claim_seconds=30),
        draining=lambda: False,
        clock=lambda: 0.0,
    )

    async def scenario() -> None:
        nonlocal own_ns
        link = Link()
        extensions = {SCOPE_KEY: link, "websocket.http.response": {}}
        scope = {"type": "websocket", "headers": [], "client": ("127.0.0.1", 1), "query_string": b""}
        serving = asyncio.create_task(gateway(scope | {"extensions": extensions}, link.receive, link.send))
        await link.say('{"type":"dequeue"}')
        own_ns += 2 * SECOND_NS
        await link.say('{"type":"dequeue"}')
        await link.say("no message")
        own_ns += 60 * SECOND_NS
        link.events.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await serving

    asyncio.run(scenario())

    *received, closed = mailbox.messages
    assert all(isinstance(message, Inbound) for message in received)
    assert [message.asked_us for message in received] == [1_000_000_000, 1_002_000_000, 1_002_000_000]
    assert isinstance(closed, Closed)
