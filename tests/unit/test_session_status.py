"""`status`: what a client is told of its journey, in every state. On virtual time."""

import pytest

from match_server.protocol import JourneyState
from tests.unit.session_table import MODE, PLAYER, Frame, Table, dequeued, table
from tests.unit.virtual_time import run

NONE: Frame = {
    "type": "status",
    "state": "none",
    "waited_seconds": None,
    "estimated_wait_seconds": None,
    "explanation": None,
}


async def status(t: Table) -> Frame:
    await t.client(type="status")
    return t.sent()[-1]


def test_without_a_journey_there_is_none() -> None:
    async def scenario() -> None:
        async with table() as t:
            assert await status(t) == NONE

    run(scenario())


def test_a_player_that_waits_hears_how_long_and_why() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.client(type="enqueue", player_id=PLAYER, game_mode=MODE)
            assert await status(t) == NONE | {
                "state": "queued",
                "waited_seconds": 12.5,
                "explanation": {"stage": "waiting", "waiting": 3},
            }
            t.records.within_reach = False
            assert (await status(t))["explanation"]["stage"] == "held", "a mate's link is lost"

    run(scenario())


@pytest.mark.parametrize(("state", "waited"), [("loading", 12.5), ("allocating", 12.5), ("matched", None)])
def test_a_player_that_has_a_match_hears_no_reason(state: JourneyState, waited: float | None) -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.client(type="enqueue", player_id=PLAYER, game_mode=MODE)
            t.records.state = state
            assert await status(t) == NONE | {"state": state, "waited_seconds": waited}

    run(scenario())


def test_after_the_journey_there_is_none() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.client(type="enqueue", player_id=PLAYER, game_mode=MODE)
            await t.channel(dequeued(500))
            assert await status(t) == NONE

    run(scenario())


def test_a_player_whom_redis_does_not_know_is_to_ask_again() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.client(type="enqueue", player_id=PLAYER, game_mode=MODE)
            t.records.state = None
            assert (await status(t))["code"] == "server_busy"

    run(scenario())
