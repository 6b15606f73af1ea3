"""The pub/sub link on a connection that closes under a command. Over a real socket: `tests/store/test_pubsub.py`."""

from unittest import mock

import pytest
from redis.asyncio import Redis

from match_server.store import pubsub
from match_server.store.pubsub import PubSubLink
from tests.unit.virtual_time import run


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
