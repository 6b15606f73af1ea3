"""Frames that the channel lost, and players that Redis lost. On virtual time."""

import asyncio
import json

import pytest

from match_server.actors.matchmaker import InternalError
from match_server.errors import StoreUnavailable
from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import (
    AWAY,
    CONNECTION,
    ENQUEUED_AT,
    EPOCH,
    MODE,
    NODE,
    PLAYER,
    QUEUED_SEQ,
    SESSION_A,
    SESSION_B,
    TOKEN,
    MatchmakerCrash,
    Unanswered,
    dequeued,
    match_cancelled,
    queued,
    resume_answer,
    resumed,
    start_loading,
    table,
)
from tests.unit.virtual_time import run, until_quiet


def test_frames_of_a_catch_up_come_behind_those_that_wait_and_are_not_delivered_twice() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Unanswered())
            await t.catch_up()
            await t.channel(start_loading(200, SESSION_A), match_cancelled(300, SESSION_A))
            frames = match_cancelled(300, SESSION_A), queued(301, requeued=True)
            t.pool.open[0].answer(Answer("ok", tuple(map(json.dumps, frames))))
            await until_quiet()
            assert t.sent_types() == ["start_loading", "match_cancelled", "queued"]

    run(scenario())


def test_a_frame_that_overtook_the_answer_of_a_catch_up_is_delivered_behind_what_that_found() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A, seq=200)
            t.pool.will_answer(journey.CatchUp, Unanswered())
            await t.catch_up()
            await t.channel(start_loading(400, SESSION_B))
            missed = match_cancelled(300, SESSION_A), queued(301, requeued=True)
            t.pool.open[0].answer(Answer("ok", tuple(map(json.dumps, missed))))
            await until_quiet()
            assert t.sent_types() == ["match_cancelled", "queued", "start_loading"]

    run(scenario())


def test_a_catch_up_asks_for_what_came_after_the_last_frame_that_was_delivered() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A, seq=250)
            await t.catch_up()
            assert t.pool.got(journey.CatchUp) == [journey.CatchUp(PLAYER, CONNECTION, TOKEN, QUEUED_SEQ, 250)]

    run(scenario())


def test_after_a_resume_a_catch_up_says_under_which_number_this_connection_got_its_player() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Resume, resume_answer(resumed(300), queued(301)))
            await t.resume(TOKEN)
            await t.channel(start_loading(400, SESSION_A))
            await t.catch_up()
            assert t.pool.got(journey.CatchUp) == [journey.CatchUp(PLAYER, CONNECTION, TOKEN, 300, 400)]

    run(scenario())


@pytest.mark.parametrize("state", ["no journey", "unsure", "over"])
def test_there_is_nothing_to_catch_up_on(state: str) -> None:
    async def scenario() -> None:
        async with table() as t:
            if state == "unsure":
                t.pool.will_answer(journey.Enqueue, AWAY)
                await t.enqueue()
            elif state == "over":
                await t.be_queued()
                await t.channel(dequeued(200))
            await t.catch_up()
            assert t.pool.got(journey.CatchUp) == []

    run(scenario())


@pytest.mark.parametrize("reply", [AWAY, Unanswered(), MatchmakerCrash()])
def test_until_a_catch_up_succeeds_nothing_that_came_later_is_passed_on(
    reply: StoreUnavailable | Unanswered | MatchmakerCrash,
) -> None:
    """What the channel lost before it would be missing for good."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            frames = [match_cancelled(300, SESSION_A), queued(301, requeued=True), start_loading(302, SESSION_B)]
            t.pool.will_answer(journey.CatchUp, reply, Answer("ok", tuple(json.dumps(frame) for frame in frames)))
            await t.catch_up()
            if isinstance(reply, Unanswered):
                await asyncio.sleep(10)  # until nobody waits for the answer any more
            await t.channel(frames[-1])
            assert t.sent() == []
            await asyncio.sleep(1)
            assert t.sent() == frames

    run(scenario())


def test_a_catch_up_that_meets_a_bug_is_left_to_the_next_round() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            frame = json.dumps(start_loading(200, SESSION_A))
            t.pool.will_answer(journey.CatchUp, InternalError("0123abcd"), Answer("ok", (frame,)))
            await t.catch_up()
            await asyncio.sleep(60)
            assert t.sent() == []
            await t.catch_up()
            assert t.sent_types() == ["start_loading"]

    run(scenario())


def test_a_player_that_redis_has_lost_or_holds_is_put_back_as_the_client_was_last_told() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A, seq=250)
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            t.pool.will_answer(journey.Reassert, Answer("ok", ("epoch-2", json.dumps(queued(300, requeued=True)))))
            await t.catch_up()
            (item,) = t.pool.got(journey.Reassert)
            assert (item.player_id, item.connection, item.node) == (PLAYER, CONNECTION, NODE)
            assert (item.resume_token, item.game_mode) == (TOKEN, MODE)
            assert (item.state, item.seq, item.loading_session_id) == ("loading", 250, SESSION_A)
            assert item.claimed_seq == QUEUED_SEQ
            assert (item.enqueued_at, item.epoch) == (ENQUEUED_AT, EPOCH)
            assert t.sent_types() == ["queued"]
            await t.catch_up()
            assert [item.epoch for item in t.pool.got(journey.Reassert)] == [EPOCH, "epoch-2"]

    run(scenario())


def test_what_was_on_its_way_when_redis_lost_the_player_is_not_told_once_it_is_put_back() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            again = json.dumps(queued(400, requeued=True))
            t.pool.will_answer(journey.Reassert, Answer("put_back", ("epoch-2", again)))
            t.port.catch_up()
            t.port.deliver(PLAYER, json.dumps(start_loading(300, SESSION_A)).encode())
            await t.channel()
            assert t.sent() == [], "the client knows that it is queued"
            await t.channel(start_loading(500, SESSION_B))
            assert t.sent_types() == ["start_loading"]

    run(scenario())


def test_a_queued_that_was_lost_behind_a_cancellation_is_told_when_the_player_is_put_back() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            await t.channel(match_cancelled(300, SESSION_A))
            t.sent()
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            again = json.dumps(queued(400, requeued=True))
            t.pool.will_answer(journey.Reassert, Answer("put_back", ("epoch-2", again)))
            await t.catch_up()
            assert t.sent_types() == ["queued"]

    run(scenario())


def test_a_player_that_left_while_its_client_was_not_told_is_told_so() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            t.pool.will_answer(journey.Reassert, Answer("gone"))
            await t.catch_up()
            (frame,) = t.sent()
            assert (frame["type"], frame["reason"]) == ("dequeued", "disconnected")
            assert frame["seq"] > QUEUED_SEQ

    run(scenario())
