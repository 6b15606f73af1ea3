"""How a connection ends, and what becomes of its player. On virtual time."""

import asyncio

import pytest
from structlog.typing import EventDict

from match_server.errors import CloseCode
from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import (
    AWAY,
    CONNECTION,
    PLAYER,
    SESSION_A,
    MatchmakerCrash,
    Unanswered,
    dequeued,
    match_found,
    queued,
    table,
)
from tests.unit.virtual_time import run, until_quiet


def test_a_client_that_closes_cleanly_leaves() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            await t.close(left=True)
            await t.session.ended()
            (leave,) = t.pool.got(journey.Leave)
            assert (leave.player_id, leave.connection, leave.reason) == (PLAYER, CONNECTION, "disconnected")
            assert t.pool.got(journey.Hold) == []
            assert t.channels.now == []

    run(scenario())


def test_a_client_whose_link_broke_is_held_for_its_grace() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            await t.close(left=False, grace_seconds=2.5)
            await t.session.ended()
            assert t.pool.got(journey.Hold) == [journey.Hold(PLAYER, CONNECTION, 2_500_000)]
            assert t.pool.got(journey.Leave) == []

    run(scenario())


@pytest.mark.parametrize("end", ["never enqueued", "dequeued", "matched"])
def test_a_connection_without_a_running_journey_just_ends(end: str) -> None:
    async def scenario() -> None:
        async with table() as t:
            if end == "dequeued":
                await t.be_queued()
                await t.channel(dequeued(200))
            elif end == "matched":
                await t.be_loading(SESSION_A)
                await t.channel(match_found(300, SESSION_A))
            await t.close(left=True)
            await t.session.ended()
            assert {journey.Leave, journey.Hold}.isdisjoint(map(type, t.pool.items))
            assert t.channels.now == []

    run(scenario())


def test_a_connection_that_closes_during_its_enqueue_outlives_it_and_then_leaves() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, Unanswered())
            await t.enqueue()
            await t.close(left=True)
            assert t.pool.got(journey.Leave) == []
            t.pool.open[0].answer(t.pool.usual(t.pool.open[0].item))
            await t.session.ended()
            assert len(t.pool.got(journey.Leave)) == 1

    run(scenario())


def test_the_end_of_a_connection_is_kept_while_redis_is_away() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.Leave, *[AWAY] * 5, Answer("ok"))
            await t.close()
            await t.session.ended()
            assert len(t.pool.got(journey.Leave)) == 6

    run(scenario())


@pytest.mark.parametrize(("left", "kind"), [(True, journey.Leave), (False, journey.Hold)])
def test_the_end_of_a_connection_survives_a_crash_of_the_matchmaker(left: bool, kind: type) -> None:
    """Else the player stays in its queue, attributed to a connection that is gone, as long as this node lives."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(kind, MatchmakerCrash(), Answer("ok"))
            await t.close(left=left)
            await asyncio.sleep(60)
            assert len(t.pool.got(kind)) == 2

    run(scenario())


def test_a_session_that_cannot_say_goodbye_while_the_node_stops_logs_no_crash(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            for matchmaker in t.matchmakers.values():
                matchmaker.stop()
                await matchmaker.ended()
            await t.close()
            await t.session.ended()
        assert [line["event"] for line in logs if line["log_level"] == "error"] == []

    run(scenario())


def test_a_crash_is_an_internal_error_and_1011_and_the_player_is_held_not_lost(logs: list[EventDict]) -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.port.deliver(PLAYER, b"no frame at all")
            await t.session.ended()
            await until_quiet()
            (error,) = t.sent()
            (line,) = [line for line in logs if line["event"] == "actor_crashed"]
            assert (error["code"], error["error_id"]) == ("internal_error", line["error_id"])
            assert t.socket.closed == [CloseCode.INTERNAL]
            assert t.pool.got(journey.Hold) == [journey.Hold(PLAYER, CONNECTION, 30_000_000)]
            assert t.channels.now == []

    run(scenario())


def test_a_client_that_reads_too_slowly_for_its_frames_is_cut_off_with_1013() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Unanswered())
            await t.catch_up()
            for seq in range(200, 300):
                await t.channel(queued(seq))
            assert t.socket.closed == [CloseCode.TOO_SLOW]

    run(scenario())


def test_a_port_without_a_session_and_one_whose_session_has_ended_drop_what_comes() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.session.stop()
            await t.session.ended()
            await t.channel(queued())
            t.port.taken_over(PLAYER)
            await t.catch_up()
            assert t.sent() == []
            assert t.socket.closed == []

    run(scenario())
