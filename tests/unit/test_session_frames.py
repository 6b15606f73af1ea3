"""Which frames a session passes on to its client, and which it drops. On virtual time."""

import json

from match_server.errors import CloseCode
from match_server.events.node import FrameDelivered
from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import (
    CONNECTION,
    MODE,
    PLAYER,
    QUEUED_SEQ,
    SESSION_A,
    SESSION_B,
    TOKEN,
    Unanswered,
    dequeued,
    match_cancelled,
    match_found,
    queued,
    start_loading,
    table,
)
from tests.unit.virtual_time import run, until_quiet


def test_the_frames_of_the_journey_reach_the_client_as_they_are_and_are_counted() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.enqueue()
            frames = [queued(), start_loading(200, SESSION_A), match_found(300, SESSION_A)]
            await t.channel(*frames)
            assert t.sent() == frames
            assert [told.type for told in t.events.of(FrameDelivered)] == ["queued", "start_loading", "match_found"]

    run(scenario())


def test_frames_of_a_player_that_is_not_owned_are_not_delivered() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, Answer("elsewhere", ("queued", MODE, TOKEN)))
            await t.enqueue()
            assert t.refusals() == ["already_in_queue"]
            assert t.channels.now == []
            await t.channel(queued(200), start_loading(300, SESSION_A))  # those that were on their way
            assert t.sent() == []
            await t.close()
            assert t.pool.got(journey.Leave) == []

    run(scenario())


def test_frames_are_held_back_until_the_enqueue_is_granted_and_those_of_an_earlier_owner_are_dropped() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, Unanswered())
            await t.enqueue()
            await t.channel(match_found(QUEUED_SEQ - 1, SESSION_B), queued(), start_loading(200, SESSION_A))
            assert t.sent() == []
            (request,) = t.pool.open
            request.answer(t.pool.usual(request.item))
            await until_quiet()
            assert t.sent() == [queued(), start_loading(200, SESSION_A)]

    run(scenario())


def test_duplicates_and_frames_older_than_the_last_are_dropped() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.enqueue()
            await t.channel(queued(), queued(), start_loading(200, SESSION_A), queued(150), queued(200))
            assert t.sent_types() == ["queued", "start_loading"]

    run(scenario())


def test_frames_of_another_player_are_dropped() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            await t.channel(start_loading(200, SESSION_A), player_id="bob")
            assert t.sent() == []

    run(scenario())


def test_of_a_later_journey_of_its_player_nothing_is_passed_on_and_the_record_is_asked_whose_it_is() -> None:
    """It missed its own `dequeued`; the `queued` of whoever came after it carries that one's resume token."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Unanswered(), Answer("taken_over"))
            t.port.deliver(PLAYER, json.dumps(queued(300, token="another journey's")).encode())
            t.port.deliver(PLAYER, json.dumps(start_loading(400, SESSION_A)).encode())
            await until_quiet()
            assert t.sent() == []
            (request,) = t.pool.open
            assert request.item == journey.CatchUp(PLAYER, CONNECTION, TOKEN, QUEUED_SEQ, QUEUED_SEQ)
            request.answer(Answer("taken_over"))
            await until_quiet()
            assert t.socket.closed == [CloseCode.TAKEN_OVER]
            assert t.sent() == []

    run(scenario())


def test_a_player_that_left_by_another_connection_and_queued_anew_is_told_that_it_left() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("ok", (json.dumps(dequeued(200)),)))
            await t.channel(queued(300, token="another journey's"), start_loading(400, SESSION_A))
            assert t.sent() == [dequeued(200)]
            assert t.socket.closed == []

    run(scenario())


def test_a_cancellation_of_a_session_that_the_client_never_heard_of_ends_the_one_it_loads() -> None:
    """A record keeps the last cancellation alone: the one of the session that the client loads is lost.

    Seed 1317 of the simulation was put back into the queue without a word about its own match.
    """

    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            await t.channel(match_cancelled(300, SESSION_B), queued(301, requeued=True))
            cancelled, requeued = t.sent()
            assert (cancelled["type"], cancelled["loading_session_id"]) == ("match_cancelled", SESSION_A)
            assert requeued["type"] == "queued"

    run(scenario())


def test_a_cancellation_is_dropped_where_the_client_knows_of_no_session() -> None:
    """Seed 54 of the simulation was told twice that it is queued: the match came and went on a silent link."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            await t.channel(match_cancelled(300, SESSION_B), queued(301, requeued=True))
            assert t.sent_types() == []
            await t.channel(start_loading(400, SESSION_B), match_cancelled(500, SESSION_B))
            assert t.sent_types() == ["start_loading", "match_cancelled"]

    run(scenario())
