"""The session while Redis is away, and when something around it meets a bug. On virtual time."""

import asyncio
import json

import pytest

from match_server.actors.matchmaker import InternalError
from match_server.redis_clock import RedisClock
from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import (
    AWAY,
    CONNECTION,
    ENQUEUED_AT,
    EPOCH,
    MODE,
    PLAYER,
    QUEUED_SEQ,
    SESSION_A,
    TOKEN,
    MatchmakerCrash,
    queued,
    start_loading,
    table,
)
from tests.unit.virtual_time import run, until_quiet


def test_an_enqueue_that_redis_does_not_answer_is_server_busy_with_a_time_to_come_back() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, AWAY)
            await t.enqueue()
            (error,) = t.sent()
            assert error["code"] == "server_busy"
            assert error["retry_after_seconds"] > 0
            assert t.socket.closed == []

    run(scenario())


def test_an_enqueue_whose_subscription_is_not_confirmed_in_time_is_server_busy_and_never_reaches_redis() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.channels.confirms.clear()
            await t.enqueue()
            await asyncio.sleep(60)
            assert t.refusals() == ["server_busy"]
            t.channels.confirms.set()
            await until_quiet()
            assert t.pool.items == []
            assert t.channels.now == []

    run(scenario())


def test_before_the_pools_secret_is_known_the_node_is_busy() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.tokens.__init__(RedisClock())  # type: ignore[misc]  # as before the janitor has reached Redis
            await t.enqueue()
            await t.resume("a~1~b~c")
            assert t.refusals() == ["server_busy", "server_busy"]

    run(scenario())


def test_after_an_enqueue_without_an_answer_no_frame_is_delivered_and_the_end_of_the_connection_leaves() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, AWAY)
            await t.enqueue()
            t.sent()
            await t.channel(queued())  # it may be another's
            assert t.sent() == []
            await t.close(left=True)
            (leave,) = t.pool.got(journey.Leave)
            (enqueue,) = t.pool.got(journey.Enqueue)
            assert (leave.player_id, leave.connection, leave.reason) == (PLAYER, CONNECTION, "disconnected")
            assert leave.operation > enqueue.operation

    run(scenario())


def test_the_repeat_of_an_enqueue_without_an_answer_catches_up_on_the_frames_that_were_dropped() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(
                journey.Enqueue,
                AWAY,
                Answer("already_in_queue", (TOKEN, str(QUEUED_SEQ), ENQUEUED_AT, EPOCH, json.dumps(queued()))),
            )
            t.pool.will_answer(journey.CatchUp, Answer("ok", (json.dumps(start_loading(200, SESSION_A)),)))
            await t.enqueue()
            await t.enqueue()
            assert t.sent_types() == ["error", "queued", "error", "start_loading"]
            assert t.pool.got(journey.CatchUp) == [journey.CatchUp(PLAYER, CONNECTION, TOKEN, QUEUED_SEQ, QUEUED_SEQ)]

    run(scenario())


@pytest.mark.parametrize(
    ("code", "told"), [("already_in_queue", ["queued", "error"]), ("held", ["queued"])], ids=["asked anew", "repeated"]
)
def test_an_enqueue_whose_player_was_held_meanwhile_takes_the_player_back(code: str, told: list[str]) -> None:
    """Its node was thought dead before it had the answer (docs/races.md, 28)."""

    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(
                journey.Enqueue,
                AWAY,
                Answer(code, (TOKEN, str(QUEUED_SEQ), ENQUEUED_AT, EPOCH, json.dumps(queued()))),
            )
            t.pool.will_answer(journey.CatchUp, Answer("behind"), Answer("ok"))
            t.pool.will_answer(journey.Reassert, Answer("ok", (EPOCH,)))
            await t.enqueue()
            assert t.refusals() == ["server_busy"]
            await t.enqueue()
            assert t.sent_types() == told
            (reassert,) = t.pool.got(journey.Reassert)
            assert (reassert.player_id, reassert.connection, reassert.claimed_seq) == (PLAYER, CONNECTION, QUEUED_SEQ)
            await t.channel(start_loading(200, SESSION_A))
            assert t.sent_types() == ["start_loading"]

    run(scenario())


def test_an_unsure_connection_to_which_redis_then_refuses_the_player_forgets_it() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, AWAY, Answer("elsewhere", ("queued", MODE, TOKEN)))
            await t.enqueue()
            await t.enqueue()
            assert t.channels.now == []
            await t.close()
            assert t.pool.got(journey.Leave) == []

    run(scenario())


def test_a_refused_resume_does_not_make_it_forget_an_enqueue_without_an_answer() -> None:
    """The enqueue may have taken effect; unless the session leaves at its end, a ghost stays in the queue."""

    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, AWAY)
            t.pool.will_answer(journey.Resume, Answer("invalid_resume_token"))
            await t.enqueue()
            await t.resume(TOKEN)  # that of an earlier journey
            assert t.refusals() == ["server_busy", "invalid_resume_token"]
            await t.close(left=True)
            assert len(t.pool.got(journey.Leave)) == 1

    run(scenario())


what_is_kept = pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "dequeue"}, journey.Leave),
        ({"type": "loading_complete", "loading_session_id": SESSION_A}, journey.Ready),
    ],
)


@what_is_kept
def test_what_a_client_cannot_know_to_repeat_is_kept_while_redis_is_away(message: dict[str, str], kind: type) -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            t.pool.will_answer(kind, *[AWAY] * 20, Answer("ok"))
            await t.client(**message)
            await asyncio.sleep(60)
            assert t.sent() == []
            tried: list[object] = t.pool.got(kind)
            assert len(tried) == 21
            assert len(set(tried)) == 1  # the very same operation, which Redis answers once

    run(scenario())


@what_is_kept
def test_what_a_client_cannot_know_to_repeat_survives_a_crash_of_the_matchmaker(
    message: dict[str, str], kind: type
) -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            t.pool.will_answer(kind, MatchmakerCrash(), Answer("ok"))
            await t.client(**message)
            await asyncio.sleep(60)
            assert t.refusals() == []
            assert len(t.pool.got(kind)) == 2

    run(scenario())


@what_is_kept
def test_a_redis_that_knows_nothing_of_a_running_journey_is_told_of_it_and_asked_once_more(
    message: dict[str, str], kind: type
) -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            t.pool.will_answer(kind, Answer("not_in_queue"), Answer("ok"))
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            t.pool.will_answer(journey.Reassert, Answer("ok", ("epoch-2",)))
            await t.client(**message)
            assert [type(item) for item in t.pool.items[1:]] == [kind, journey.CatchUp, journey.Reassert, kind]
            assert t.sent() == []

    run(scenario())


def test_a_bug_met_by_one_request_is_an_internal_error_with_the_id_that_was_logged() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, InternalError("0123abcd"))
            await t.enqueue()
            (error,) = t.sent()
            assert (error["code"], error["error_id"]) == ("internal_error", "0123abcd")
            assert t.socket.closed == []

    run(scenario())
