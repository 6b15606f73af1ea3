"""Whether anything answers at a server's control_url."""

import asyncio

import pytest

from match_server.servers.reachability import why_unreachable
from tests.unit import virtual_time


def test_a_server_that_listens_can_be_reached() -> None:
    async def scenario() -> None:
        async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            assert await why_unreachable(f"http://127.0.0.1:{port}/game", within_seconds=5) is None

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://[::1]:9/game"])
def test_where_nobody_listens_the_reason_is_in_words(url: str) -> None:
    why = asyncio.run(why_unreachable(url, within_seconds=5))
    assert why in {"Connection refused", "Cannot assign requested address"}  # the latter on a machine without IPv6


def test_a_server_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", hang)
    why = virtual_time.run(why_unreachable("http://127.0.0.1", within_seconds=3))
    assert why == "no answer within 3 s"
