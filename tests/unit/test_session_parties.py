"""An enqueue for a mode whose matches are formed by rules: its attributes and its party. On virtual time."""

import json
from typing import Any

import pytest

from match_server.actors.mailbox import Identity
from match_server.actors.parts import PartRefused, read_part
from match_server.matching.attributes import Attribute
from match_server.matching.modes import GameMode
from match_server.protocol import Enqueue
from match_server.store import journey
from match_server.store.journey import Answer
from match_server.store.tickets import Part
from tests.shared.modes import game_modes
from tests.unit.session_table import (
    ENQUEUED_AT,
    EPOCH,
    PLAYER,
    QUEUED_SEQ,
    Frame,
    Table,
    dequeued,
    mint_with,
    table,
)
from tests.unit.virtual_time import run

RANKED = GameMode(
    "ranked",
    4,
    teams={"blue": 2, "red": 2},
    party_max=2,
    rules=(),
    attributes={
        "rating": Attribute(type="number", default=1500, min=0, max=5000),
        "build": Attribute.model_validate({"type": "text", "from": "token", "default": ""}),
    },
)
PART = Part({"rating": 1700.0, "build": ""}, "pals", 2)
TOKEN = mint_with("the pool's secret").mint(PLAYER, RANKED.name, PART.encode())


def party(seq: int, *members: str) -> Frame:
    missing = 2 - len(members)
    return {
        "type": "party",
        "seq": seq,
        "party_id": "pals",
        "members": list(members),
        "missing": missing,
        "timeout_seconds": 60,
    }


def queued(seq: int) -> Frame:
    return {"type": "queued", "seq": seq, "game_mode": "ranked", "resume_token": TOKEN, "requeued": False}


GATHERING = Answer("gathering", (TOKEN, str(QUEUED_SEQ), ENQUEUED_AT, EPOCH, json.dumps(party(QUEUED_SEQ, PLAYER))))


async def enqueue(t: Table, **more: Any) -> None:
    await t.client(type="enqueue", player_id=PLAYER, game_mode="ranked", **more)


def brought(t: Table) -> Part:
    (item,) = t.pool.got(journey.Enqueue)
    return Part.decode(item.part)


def test_what_an_enqueue_brings_goes_into_the_ticket_and_into_the_token() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            await enqueue(t, attributes={"rating": 1700}, party_id="pals", party_size=2)
            assert brought(t) == PART
            (item,) = t.pool.got(journey.Enqueue)
            proven = t.tokens.verify(PLAYER, item.resume_token)
            assert proven is not None
            assert Part.decode(proven.part) == PART

    run(scenario())


def test_a_player_alone_brings_the_defaults() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            await enqueue(t)
            assert brought(t) == Part({"rating": 1500, "build": ""})

    run(scenario())


def test_in_a_random_mode_nobody_brings_anything() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            await t.client(type="enqueue", player_id=PLAYER, game_mode="Normal_1v1", attributes={"rating": "?"})
            (item,) = t.pool.got(journey.Enqueue)
            assert item.part == ""

    run(scenario())


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"attributes": {"rating": 6000}}, "invalid_attributes", "rating: expected a number from 0 to 5000"),
        ({"attributes": {"ratting": 1}}, "invalid_attributes", "ratting: no such attribute"),
        ({"attributes": []}, "invalid_attributes", "expected an object"),
        ({"party_id": "pals", "party_size": 3}, "invalid_party", "party_size: expected at most 2"),
        ({"party_id": "pals"}, "invalid_message", "party_size: is missing"),
        ({"party_size": 2}, "invalid_message", "party_id: is missing"),
        ({"party_id": "p q", "party_size": 2}, "invalid_message", "party_id: expected 1 to 64 characters"),
        ({"party_id": "pals", "party_size": 0}, "invalid_message", "party_size: expected an integer from 1 to 100"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(more: dict[str, Any], code: str, words: str) -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            await enqueue(t, **more)
            (frame,) = t.sent()
            assert (frame["code"], words in frame["message"]) == (code, True), frame
            assert t.pool.items == []

    run(scenario())


@pytest.mark.parametrize(("size", "fits"), [(2, True), (3, False), (4, True), (5, False)])
def test_a_party_larger_than_a_team_has_to_fill_the_match(size: int, fits: bool) -> None:
    mode = GameMode("squads", 4, teams={"blue": 2, "red": 2}, party_max=4)
    message = Enqueue(player_id=PLAYER, game_mode="squads", party_id="pals", party_size=size)
    refused = isinstance(read_part(game_modes(mode), message, None), PartRefused)
    assert refused is not fits


def test_a_party_that_does_not_take_the_player_is_named() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            t.pool.will_answer(journey.Enqueue, Answer("party_mismatch"))
            await enqueue(t, party_id="pals", party_size=2)
            assert t.refusals() == ["party_mismatch"]
            assert t.channels.now == []

    run(scenario())


def test_what_only_a_token_may_say_comes_from_it_alone() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED, identity=Identity(PLAYER, {"build": "1.2"}, "pals")) as t:
            await enqueue(t, attributes={"build": "9"}, party_id="pals", party_size=2)
            await enqueue(t, party_id="others", party_size=2)
            assert t.refusals() == ["invalid_attributes", "invalid_party"]
            await enqueue(t, party_id="pals", party_size=2)
            assert brought(t) == Part({"rating": 1500, "build": "1.2"}, "pals", 2)

    run(scenario())


def test_a_gathering_party_is_heard_of_until_it_is_queued() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            t.pool.will_answer(journey.Enqueue, GATHERING)
            await enqueue(t, attributes={"rating": 1700}, party_id="pals", party_size=2)
            await t.channel(party(QUEUED_SEQ, PLAYER), party(QUEUED_SEQ + 1, PLAYER, "bob"), queued(QUEUED_SEQ + 2))
            frames = t.sent()
            assert [frame["type"] for frame in frames] == ["party", "party", "queued"]
            assert [frame["resume_token"] for frame in frames] == [TOKEN] * 3
            await enqueue(t)
            assert t.refusals() == ["already_in_queue"]

    run(scenario())


def test_a_member_that_gathers_may_leave() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            t.pool.will_answer(journey.Enqueue, GATHERING)
            t.pool.will_answer(journey.Leave, Answer("ok", (json.dumps(dequeued(QUEUED_SEQ + 1)), "")))
            await enqueue(t, party_id="pals", party_size=2)
            await t.client(type="dequeue")
            assert t.sent_types() == ["party", "dequeued"]

    run(scenario())


def test_a_session_says_its_part_to_a_redis_that_lost_it() -> None:
    """P4."""

    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            t.pool.will_answer(journey.Enqueue, GATHERING)
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            t.pool.will_answer(journey.Reassert, Answer("put_back", ("epoch-2", json.dumps(party(500, "bob", PLAYER)))))
            await enqueue(t, attributes={"rating": 1700}, party_id="pals", party_size=2)
            await t.catch_up()
            (item,) = t.pool.got(journey.Reassert)
            assert (item.state, Part.decode(item.part)) == ("gathering", PART)
            assert [frame.get("members") for frame in t.sent()] == [[PLAYER], ["bob", PLAYER]]

    run(scenario())


def test_a_resume_brings_the_part_that_the_token_proves() -> None:
    """P13."""

    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            resumed = {
                "type": "resumed",
                "seq": 300,
                "state": "gathering",
                "game_mode": "ranked",
                "resume_token": TOKEN,
            }
            frames = (json.dumps(resumed), json.dumps(party(301, PLAYER)))
            t.pool.will_answer(journey.Resume, Answer("ok", ("ranked", ENQUEUED_AT, EPOCH, *frames)))
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            await t.resume(TOKEN)
            (item,) = t.pool.got(journey.Resume)
            assert Part.decode(item.part) == PART
            await t.catch_up()
            (again,) = t.pool.got(journey.Reassert)
            assert (again.state, Part.decode(again.part)) == ("gathering", PART)

    run(scenario())


def test_a_party_frame_of_another_journey_is_not_passed_on() -> None:
    async def scenario() -> None:
        async with table(ranked=RANKED) as t:
            t.pool.will_answer(journey.Enqueue, GATHERING)
            t.pool.will_answer(journey.CatchUp, Answer("taken_over"))
            await enqueue(t, party_id="pals", party_size=2)
            t.sent()
            await t.channel(party(QUEUED_SEQ + 5, PLAYER) | {"party_id": "others"})
            assert t.sent() == []
            assert t.socket.closed

    run(scenario())
