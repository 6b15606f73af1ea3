"""What a session refuses, and how it says so. On virtual time."""

import pytest

from match_server.actors.mailbox import Identity
from match_server.errors import CloseCode
from match_server.store import journey
from match_server.store.journey import Answer
from tests.unit.session_table import CONNECTION, MODE, PLAYER, SESSION_A, SESSION_B, dequeued, table
from tests.unit.virtual_time import run, until_quiet


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
        async with table(identity=Identity("bob")) as t:
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
