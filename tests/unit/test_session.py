"""The session, between a client that does as it likes and a Redis that may be anywhere. On virtual time."""

import asyncio
import json

import pytest
from structlog.typing import EventDict

from match_server.actors.matchmaker import InternalError
from match_server.errors import CloseCode, StoreUnavailable
from match_server.redis_clock import RedisClock
from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import (
    CONNECTION,
    ENQUEUED_AT,
    EPOCH,
    GRANTED,
    MODE,
    NODE,
    PLAYER,
    QUEUED_SEQ,
    TOKEN,
    MatchmakerCrash,
    Unanswered,
    dequeued,
    match_cancelled,
    match_found,
    mint_with,
    queued,
    resume_answer,
    resumed,
    start_loading,
    table,
)
from tests.unit.virtual_time import run, until_quiet

AWAY = StoreUnavailable("Redis is away")
SESSION_A = "aaaaaaaa-0000-4000-8000-000000000000"
SESSION_B = "bbbbbbbb-0000-4000-8000-000000000000"


# --- enqueue, and whose frames these are ---


def test_an_enqueue_subscribes_first_and_then_asks_under_its_own_connection() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.channels.confirms.clear()
            await t.enqueue()
            assert t.channels.now == [PLAYER]
            assert t.pool.items == []
            t.channels.confirms.set()
            await until_quiet()
            (item,) = t.pool.got(journey.Enqueue)
            assert (item.player_id, item.connection, item.node) == (PLAYER, CONNECTION, NODE)
            assert t.tokens.verify(PLAYER, item.resume_token)

    run(scenario())


def test_the_frames_of_the_journey_reach_the_client_as_they_are_and_are_counted() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.enqueue()
            frames = [queued(), start_loading(200, SESSION_A), match_found(300, SESSION_A)]
            await t.channel(*frames)
            assert t.sent() == frames
            assert t.delivered == ["queued", "start_loading", "match_found"]

    run(scenario())


def test_frames_of_a_player_that_is_not_owned_are_not_delivered() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, Answer("already_in_queue"))
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
    """A record keeps the last cancellation alone: the one of the session that the client loads is lost."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            await t.channel(match_cancelled(300, SESSION_B), queued(301, requeued=True))
            cancelled, requeued = t.sent()
            assert (cancelled["type"], cancelled["loading_session_id"]) == ("match_cancelled", SESSION_A)
            assert requeued["type"] == "queued"

    run(scenario())


def test_a_cancellation_is_dropped_where_the_client_knows_of_no_session() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            await t.channel(match_cancelled(300, SESSION_B), queued(301, requeued=True))
            assert t.sent_types() == []
            await t.channel(start_loading(400, SESSION_B), match_cancelled(500, SESSION_B))
            assert t.sent_types() == ["start_loading", "match_cancelled"]

    run(scenario())


def test_a_second_enqueue_of_the_same_connection_is_refused_and_changes_nothing() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(
                journey.Enqueue,
                Answer("already_in_queue", (TOKEN, str(QUEUED_SEQ), ENQUEUED_AT, EPOCH, json.dumps(queued()))),
            )
            await t.enqueue()
            assert t.refusals() == ["already_in_queue"]
            await t.channel(start_loading(200, SESSION_A))
            assert t.sent_types() == ["start_loading"]
            assert t.channels.asked == [PLAYER]

    run(scenario())


def test_after_match_found_an_enqueue_is_a_new_journey() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            await t.channel(match_found(300, SESSION_A))
            t.pool.will_answer(
                journey.Enqueue,
                Answer("queued", ("new token", "400", ENQUEUED_AT, EPOCH, json.dumps(queued(400, token="new token")))),
            )
            await t.enqueue()
            await t.channel(queued(400, token="new token"))
            assert t.sent_types() == ["match_found", "queued"]
            await t.close()
            assert len(t.pool.got(journey.Leave)) == 1

    run(scenario())


def test_operations_of_a_connection_only_grow() -> None:
    async def scenario() -> None:
        async with table() as t:
            for _ in range(3):
                await t.be_queued()
                await t.client(type="dequeue")
                await t.channel(dequeued(QUEUED_SEQ + 1))
            operations = [item.operation for item in t.pool.items]
            assert operations == sorted(set(operations))

    run(scenario())


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not json", "expected a JSON object"),
        ('{"type":"fly"}', "type: expected one of"),
        ('{"type":"enqueue","game_mode":"Normal_1v1"}', "player_id: is missing"),
        ('{"type":"enqueue","player_id":"a b","game_mode":"Normal_1v1"}', "player_id: expected 1 to 64"),
    ],
)
def test_rubbish_is_refused_and_the_connection_stays(text: str, told: str) -> None:
    async def scenario() -> None:
        async with table() as t:
            t.say(text)
            await until_quiet()
            (error,) = t.sent()
            assert error["code"] == "invalid_message"
            assert told in error["message"]
            assert t.socket.closed == []

    run(scenario())


def test_an_unknown_game_mode_is_refused_with_the_names_of_those_there_are() -> None:
    async def scenario() -> None:
        async with table(modes=["Normal_1v1", "Ranked"]) as t:
            await t.enqueue(game_mode="Chess")
            (error,) = t.sent()
            assert error["code"] == "invalid_game_mode"
            assert "Normal_1v1, Ranked" in error["message"]
            assert t.pool.items == []

    run(scenario())


def test_a_paused_queue_is_said_to_be_paused() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, Answer("queue_paused"))
            await t.enqueue()
            assert t.refusals() == ["queue_paused"]

    run(scenario())


def test_another_player_is_refused_only_while_the_journey_runs() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            await t.enqueue("bob")
            assert t.refusals() == ["invalid_message"]
            await t.channel(dequeued(200))
            await t.enqueue("bob")
            assert [item.player_id for item in t.pool.got(journey.Enqueue)] == [PLAYER, "bob"]
            assert t.channels.now == ["bob"]

    run(scenario())


def test_an_authenticated_connection_speaks_for_its_own_player_alone() -> None:
    async def scenario() -> None:
        async with table(subject="bob") as t:
            await t.enqueue(PLAYER)
            assert t.refusals() == ["unauthorized"]
            assert t.socket.closed == [CloseCode.UNAUTHORIZED]
            assert t.pool.items == []

    run(scenario())


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "dequeue", "game_mode": "Chess"}, "invalid_game_mode"),
        ({"type": "dequeue", "game_mode": "Ranked"}, "invalid_message"),
        ({"type": "dequeue", "player_id": "bob"}, "invalid_message"),
    ],
)
def test_what_a_dequeue_names_must_be_the_journeys(message: dict[str, str], code: str) -> None:
    async def scenario() -> None:
        async with table(modes=[MODE, "Ranked"]) as t:
            await t.be_queued()
            await t.client(**message)
            assert t.refusals() == [code]
            assert t.pool.got(journey.Leave) == []

    run(scenario())


def test_without_a_journey_there_is_nothing_to_leave_or_to_load() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.client(type="dequeue")
            await t.client(type="loading_complete", loading_session_id=SESSION_A)
            assert t.refusals() == ["not_in_queue", "not_in_queue"]
            assert t.pool.items == []

    run(scenario())


def test_a_dequeue_that_lost_the_race_is_told_the_state_and_the_session() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            t.pool.will_answer(journey.Leave, Answer("too_late", ("allocating", SESSION_A)))
            await t.client(type="dequeue")
            (error,) = t.sent()
            assert (error["code"], error["state"], error["loading_session_id"]) == ("too_late", "allocating", SESSION_A)

    run(scenario())


def test_loading_complete_for_another_session_is_refused() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            t.pool.will_answer(journey.Ready, Answer("wrong_session_id"))
            await t.client(type="loading_complete", loading_session_id=SESSION_B)
            assert t.refusals() == ["wrong_session_id"]
            assert t.pool.got(journey.Ready) == [journey.Ready(PLAYER, CONNECTION, SESSION_B)]

    run(scenario())


# --- while Redis is away ---


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


def test_an_unsure_connection_to_which_redis_then_refuses_the_player_forgets_it() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, AWAY, Answer("already_in_queue"))
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


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "dequeue"}, journey.Leave),
        ({"type": "loading_complete", "loading_session_id": SESSION_A}, journey.Ready),
    ],
)
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


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "dequeue"}, journey.Leave),
        ({"type": "loading_complete", "loading_session_id": SESSION_A}, journey.Ready),
    ],
)
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


def test_a_bug_met_by_one_request_is_an_internal_error_with_the_id_that_was_logged() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, InternalError("0123abcd"))
            await t.enqueue()
            (error,) = t.sent()
            assert (error["code"], error["error_id"]) == ("internal_error", "0123abcd")
            assert t.socket.closed == []

    run(scenario())


# --- resume ---


def test_a_resume_is_answered_by_resumed_and_the_frame_of_the_state() -> None:
    async def scenario() -> None:
        async with table() as t:
            frames = resumed(200, "loading"), start_loading(201, SESSION_A)
            t.pool.will_answer(journey.Resume, resume_answer(*frames))
            await t.resume(TOKEN)
            assert t.sent() == list(frames)
            (item,) = t.pool.got(journey.Resume)
            assert (item.player_id, item.connection, item.node) == (PLAYER, CONNECTION, NODE)
            assert (item.resume_token, item.game_mode) == (TOKEN, MODE)
            await t.channel(start_loading(200, SESSION_A), match_found(300, SESSION_A))
            assert t.sent_types() == ["match_found"]

    run(scenario())


def test_a_resume_token_that_nobody_known_has_signed_proves_nothing_by_itself() -> None:
    async def scenario() -> None:
        async with table() as t:
            stranger = mint_with("another secret")
            t.pool.will_answer(journey.Resume, Answer("invalid_resume_token"))
            for token in (stranger.mint(PLAYER, MODE), t.tokens.mint("bob", MODE), t.tokens.mint(PLAYER, "Chess"), "x"):
                await t.resume(token)
            assert t.refusals() == ["invalid_resume_token"] * 4
            asked = t.pool.got(journey.Resume)
            assert [item.made_at_us for item in asked] == ["", ""], "the others name no mode of this node"

    run(scenario())


def test_a_resume_for_a_place_that_is_gone_is_refused_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Resume, Answer("invalid_resume_token"))
            await t.resume(TOKEN)
            assert t.refusals() == ["invalid_resume_token"]
            assert t.channels.now == []
            await t.close()
            assert t.pool.got(journey.Leave) == []

    run(scenario())


def test_a_resume_without_an_answer_is_server_busy_and_the_end_of_the_connection_holds_the_player() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Resume, AWAY)
            await t.resume(TOKEN)
            assert t.refusals() == ["server_busy"]
            await t.close(left=False, grace_seconds=7)
            assert t.pool.got(journey.Hold) == [journey.Hold(PLAYER, CONNECTION, 7_000_000)]

    run(scenario())


def test_a_claim_is_as_old_as_its_message_however_long_that_has_waited() -> None:
    """By then the client may be on a newer connection, which must keep the player (docs/races.md, 23)."""

    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Enqueue, Unanswered(), AWAY)
            t.pool.will_answer(journey.Resume, AWAY)
            await t.enqueue()
            before_us = t.clock.now_us()
            t.say(json.dumps({"type": "enqueue", "player_id": PLAYER, "game_mode": MODE}))
            t.say(json.dumps({"type": "resume", "player_id": PLAYER, "resume_token": TOKEN}))
            after_us = t.clock.now_us()
            await asyncio.sleep(5)
            assert len(t.pool.items) == 1, "the others wait behind it"
            t.pool.open[0].fail(AWAY)
            await until_quiet()
            first, second, third = [int(item.asked_us) for item in t.pool.items]
            assert first <= before_us <= second <= third <= after_us

    run(scenario())


@pytest.mark.parametrize("how", ["enqueue", "resume"])
def test_what_a_client_asks_once_it_has_its_player_counts_as_later_than_that(how: str) -> None:
    """However late the node's clock is: it may close this connection, and claim its player on the next one at once."""

    async def scenario() -> None:
        async with table() as t:
            seq = t.clock.now_us() + 500_000
            t.pool.will_answer(
                journey.Enqueue, Answer("queued", (TOKEN, str(seq), ENQUEUED_AT, EPOCH, json.dumps(queued(seq))))
            )
            t.pool.will_answer(journey.Resume, resume_answer(resumed(seq), queued(seq + 1)))
            await (t.enqueue() if how == "enqueue" else t.resume(TOKEN))
            assert seq <= t.clock.now_us() < seq + 400_000

    run(scenario())


@pytest.mark.parametrize(
    ("claim", "kind", "granted"),
    [
        ({"type": "enqueue", "game_mode": MODE}, journey.Enqueue, GRANTED),
        ({"type": "resume", "resume_token": TOKEN}, journey.Resume, resume_answer(resumed(300), queued(301))),
    ],
)
def test_a_claim_that_another_connection_overtook_is_server_busy_and_may_be_repeated(
    claim: dict[str, str], kind: type, granted: Answer
) -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(kind, Answer("stale"), granted)
            await t.client(player_id=PLAYER, **claim)
            (refused,) = t.sent()
            assert (refused["code"], refused["retry_after_seconds"]) == ("server_busy", 1)
            assert t.channels.now == [], "it hears nothing of the other connection's journey"
            await t.client(player_id=PLAYER, **claim)
            assert t.sent_types()[-1] == "queued"

    run(scenario())


def test_the_end_of_a_connection_whose_claim_was_overtaken_touches_nobody() -> None:
    async def scenario() -> None:
        async with table() as t:
            t.pool.will_answer(journey.Resume, Answer("stale"))
            await t.resume(TOKEN)
            await t.close(left=False)
            assert {journey.Leave, journey.Hold}.isdisjoint(map(type, t.pool.items))

    run(scenario())


# --- taken over ---


def test_a_connection_whose_player_was_taken_over_is_closed_with_4000_and_touches_the_player_no_more() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("taken_over"))
            t.port.taken_over(PLAYER)
            await t.channel(start_loading(200, SESSION_A))
            assert t.socket.closed == [CloseCode.TAKEN_OVER]
            assert t.sent() == []
            assert t.channels.now == []
            await t.close(left=False)
            await t.session.ended()
            assert {journey.Leave, journey.Hold}.isdisjoint(map(type, t.pool.items))

    run(scenario())


def test_a_takeover_of_another_player_is_none_of_its_business() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.port.taken_over("bob")
            await t.channel(start_loading(200, SESSION_A))
            assert t.socket.closed == []
            assert t.sent_types() == ["start_loading"]

    run(scenario())


def test_a_catch_up_that_finds_another_owner_closes_with_4000() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("taken_over"))
            await t.catch_up()
            assert t.socket.closed == [CloseCode.TAKEN_OVER]
            await t.close()
            assert t.pool.got(journey.Leave) == []

    run(scenario())


def test_a_takeover_from_before_its_own_resume_does_not_close_the_owner() -> None:
    """Two resumes race on one node (docs/races.md, 13b): the last one owns the player, and must stay."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.Resume, Unanswered())
            await t.resume(TOKEN)
            t.port.taken_over(PLAYER)  # another connection had resumed just before
            t.pool.open[0].answer(resume_answer(resumed(300), queued(301)))
            await until_quiet()
            assert t.socket.closed == []
            await t.channel(start_loading(400, SESSION_A))
            assert t.sent_types() == ["resumed", "queued", "start_loading"]

    run(scenario())


# --- catching up ---


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
            t.pool.will_answer(journey.CatchUp, Answer("behind"), Answer("ok"))
            t.pool.will_answer(journey.Reassert, Answer("ok", ("epoch-2", json.dumps(queued(300, requeued=True)))))
            await t.catch_up()
            (item,) = t.pool.got(journey.Reassert)
            assert (item.player_id, item.connection, item.node) == (PLAYER, CONNECTION, NODE)
            assert (item.resume_token, item.game_mode) == (TOKEN, MODE)
            assert (item.state, item.seq, item.loading_session_id) == ("loading", 250, SESSION_A)
            assert item.claimed_seq == QUEUED_SEQ
            assert (item.enqueued_at, item.epoch) == (ENQUEUED_AT, EPOCH)
            assert t.sent_types() == ["queued"]
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            await t.catch_up()
            assert t.pool.got(journey.Reassert)[-1].epoch in {EPOCH, "epoch-2"}

    run(scenario())


def test_a_reassertion_that_finds_another_owner_closes_with_4000() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            t.pool.will_answer(journey.Reassert, Answer("taken_over"))
            await t.catch_up()
            assert t.socket.closed == [CloseCode.TAKEN_OVER]

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


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "dequeue"}, journey.Leave),
        ({"type": "loading_complete", "loading_session_id": SESSION_A}, journey.Ready),
    ],
)
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


# --- the end ---


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


def test_the_end_of_a_connection_is_kept_while_redis_is_away() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            t.pool.will_answer(journey.Leave, *[AWAY] * 5, Answer("ok"))
            await t.close()
            await t.session.ended()
            assert len(t.pool.got(journey.Leave)) == 6

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
