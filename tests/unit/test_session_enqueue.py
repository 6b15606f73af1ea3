"""An enqueue, and how old a connection's claim to a player is. On virtual time."""

import asyncio
import json

import pytest

from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import (
    AWAY,
    CONNECTION,
    ENQUEUED_AT,
    EPOCH,
    GRANTED,
    MODE,
    PLAYER,
    QUEUED_SEQ,
    SESSION_A,
    TOKEN,
    Unanswered,
    dequeued,
    match_found,
    queued,
    resume_answer,
    resumed,
    start_loading,
    table,
)
from tests.unit.virtual_time import run, until_quiet


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
            assert (item.player_id, item.connection) == (PLAYER, CONNECTION)
            assert t.tokens.verify(PLAYER, item.resume_token)

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
