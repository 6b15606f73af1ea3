"""The pub/sub link, against a Redis that takes nothing any more."""

import asyncio

import pytest
from redis import exceptions

from match_server.store.client import connect
from match_server.store.pubsub import PubSubLink


@pytest.mark.parametrize(
    "waits", [False, True], ids=["closed by its owner", "closed by redis-py, which waited in vain"]
)
def test_a_link_that_is_closed_with_much_unsent_stops_reading_all_the_same(
    monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    monkeypatch.setattr("match_server.store.client._SOCKET_TIMEOUT_SECONDS", 0.2)

    async def black_hole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while introductions := (await reader.read(4096)).count(b"SETINFO"):
            writer.write(b"+OK\r\n" * introductions)
        await ended.wait()
        writer.transport.abort()

    async def scenario() -> None:
        async with await asyncio.start_server(black_hole, "127.0.0.1", 0, limit=1) as server:
            client = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            link = PubSubLink(client)
            await link.open()
            reading = asyncio.ensure_future(link.read())
            channels = [f"notifications:{number:0250}" for number in range(40_000)]
            sending = asyncio.ensure_future(link.subscribe(channels))
            if waits:
                with pytest.raises(exceptions.TimeoutError, match="Redis takes nothing"):
                    await sending
            else:
                for _ in range(50):
                    await asyncio.sleep(0)
                assert not sending.done(), "much is unsent"
            await link.close()
            with pytest.raises((exceptions.RedisError, OSError)):
                await asyncio.wait_for(asyncio.shield(reading), 2)
            assert reading.done()
            if not waits:
                with pytest.raises((exceptions.RedisError, OSError)):
                    await sending
            await client.aclose()
            ended.set()

    ended = asyncio.Event()
    asyncio.run(scenario())
