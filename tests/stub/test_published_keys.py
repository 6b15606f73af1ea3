"""The stub's copy of the published keys: what it keeps, for how long, and what strangers can do to it."""

import asyncio
from typing import Any

from dedicated_server_stub.join_tokens import STALE_SECONDS, PublishedKeys
from match_server.signing import key_id
from tests.stub.room_stub import Pool


def test_an_empty_set_takes_no_key_away() -> None:
    """A node that has not reached Redis yet publishes none."""
    pool, answers = Pool(), iter([0, 1])
    published = pool.signing.public()

    async def fetch() -> dict[str, Any]:
        return published if next(answers) == 0 else {"keys": []}

    async def scenario() -> None:
        now = 0.0
        keys = PublishedKeys(fetch, clock=lambda: now)
        kid = published["keys"][0]["kid"]
        assert await keys.find(kid)
        now = 10.0
        assert await keys.find("forged") is None
        assert await keys.find(kid)

    asyncio.run(scenario())


def test_a_key_that_was_taken_out_is_good_for_five_minutes_at_most() -> None:
    stolen, replaced = Pool(), Pool()
    current = stolen

    async def fetch() -> dict[str, Any]:
        return current.signing.public()

    async def scenario() -> None:
        nonlocal current
        now = 0.0
        keys = PublishedKeys(fetch, clock=lambda: now)
        kid = key_id(stolen.signing.proposed)
        assert await keys.find(kid)
        current = replaced
        assert await keys.find(kid)
        now = STALE_SECONDS
        assert await keys.find(kid) is None

    asyncio.run(scenario())


def test_a_known_key_is_found_while_strangers_have_another_asked_for() -> None:
    pool, hanging = Pool(), asyncio.Event()
    fetched = 0

    async def fetch() -> dict[str, Any]:
        nonlocal fetched
        fetched += 1
        if fetched > 1:
            hanging.set()
            await asyncio.Event().wait()
        return pool.signing.public()

    async def scenario() -> None:
        now = 0.0
        keys = PublishedKeys(fetch, clock=lambda: now)
        kid = key_id(pool.signing.proposed)
        assert await keys.find(kid)
        now = 10.0
        stranger = asyncio.create_task(keys.find("forged"))
        await hanging.wait()
        async with asyncio.timeout(5):
            assert await keys.find(kid)
        stranger.cancel()

    asyncio.run(scenario())
