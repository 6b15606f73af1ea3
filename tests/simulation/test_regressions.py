"""Bugs that the simulation found, each as small as it can be told. The seed is the one that failed first."""

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis

from match_server.errors import StoreUnavailable
from match_server.store import journey, upkeep
from match_server.store.client import command
from match_server.store.journey import Answer, Reassert, Resume, Step
from tests.store.pool import GRACE_SECONDS, JUST_NOW, SECOND_US, Pool, answered, code
from tests.unit.session_table import (
    CONNECTION,
    EPOCH,
    PLAYER,
    match_cancelled,
    match_found,
    queued,
    start_loading,
    table,
)
from tests.unit.virtual_time import run

SESSION_A, SESSION_B = "0a0a0a0a-0000-4000-a000-000000000001", "0b0b0b0b-0000-4000-a000-000000000002"


def resume(pool: Pool, player: str, *, operation: int = 1) -> list[str]:
    """The frames of a resume on a second connection."""
    made_at_us = int(pool.record(player)["enqueued_at"])
    item = Resume(player, f"{player}/2", "n1", operation, f"token-of-{player}", "duel", made_at_us, JUST_NOW)
    answer = answered(pool.step("duel", Step(resumes=[item])).resumes[0])
    assert answer.code == "ok"
    return list(answer.fields[3:])


def test_seed_47_a_resume_that_arrives_again_takes_no_new_numbers(pool: Pool) -> None:
    """A caller that heard nothing asked again; both ran. The second made the session deliver its state twice."""
    pool.enqueue("ann")
    first = resume(pool, "ann")
    seq = pool.record("ann")["seq"]

    assert resume(pool, "ann") == first
    assert pool.record("ann")["seq"] == seq


def test_seed_101_a_player_told_before_the_first_sweep_is_put_back_when_redis_is_emptied(pool: Pool) -> None:
    """Neither the answer to its enqueue nor the emptied pool had an epoch: that they agree says nothing."""
    pool.redis("HDEL", f"{pool.prefix}clock", "epoch")
    told = Reassert("ann", "ann/1", "n1", 2, "token-of-ann", "duel", "1000000", 1_000_000, 1_000_000, "queued", "", "")

    (answer,) = pool.step("duel", Step(reasserts=[told])).reasserts

    assert code(answer) == "put_back"
    assert pool.record("ann")["state"] == "queued"
    assert pool.members("queue:duel:front") == ["ann"]


def test_seed_971_a_node_whose_lease_redis_lost_and_that_dies_is_missed(pool: Pool) -> None:
    """It took players before it renewed its lease: they were in the matcher's reach for good, and nobody's."""
    pool.enqueue("ann", node="n9")
    pool.move_clock(9)
    pool.renew()
    assert pool.sweep().dead_nodes == ()

    pool.move_clock(0.9)
    pool.renew()
    pool.sweep()
    pool.move_clock(0.9)
    pool.renew()
    assert pool.sweep().dead_nodes == ("n9",)
    assert pool.members("held") == ["ann"]
    assert pool.members("queue:duel") == []


def test_seed_971_a_node_without_a_lease_still_learns_that_it_had_none(pool: Pool) -> None:
    """Taking players must not look like a lease: its sessions have to say who they are."""
    pool.enqueue("ann", node="n9")
    renewed = pool.upkeep("n9").renew(lease_us=GRACE_SECONDS * SECOND_US, game_modes=["duel"], info="{}")
    assert pool.do(renewed) is False


def test_seed_203752_a_secret_is_known_though_redis_is_emptied_right_behind_it(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked for in a second command, which found none, and the janitor crashed."""
    emptied: list[int] = []

    async def emptied_once(redis: Redis, *words: Any) -> Any:
        answer = await command(redis, *words)
        if words[0] == "SET" and not emptied:
            emptied.append(pool.redis("DEL", words[1]))
        return answer

    monkeypatch.setattr(upkeep, "command", emptied_once)
    assert pool.do(pool.upkeep().secret("first")) == "first"
    assert emptied == [1]
    assert pool.do(pool.upkeep().secret("second")) == "first"


def test_seed_117819_a_player_that_left_by_a_newer_connection_is_not_put_back_by_an_older_one(pool: Pool) -> None:
    """The older one's node stopped, slowly; its reassertion for an emptied Redis ran again when all that was over."""
    pool.enqueue("ann")
    told = Reassert(
        "ann", "ann/1", "n1", 2, "token-of-ann", "duel", "1000000", 1_000_000, 1_000_000, "queued", "", "the old epoch"
    )
    resume(pool, "ann")
    pool.leave("ann", connection="ann/2", operation=2)

    (answer,) = pool.step("duel", Step(reasserts=[told])).reasserts

    assert code(answer) == "taken_over"
    assert pool.record("ann") == {}
    assert pool.members("queue:duel:front") == []


def test_seed_5_an_enqueue_on_a_running_journey_is_refused_without_asking_redis() -> None:
    """An emptied Redis began a second journey for it; so did one where the match was found and not told yet."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            asked = len(t.pool.got(journey.Enqueue))
            await t.enqueue()
            assert t.refusals() == ["already_in_queue"]
            assert len(t.pool.got(journey.Enqueue)) == asked

    run(scenario())


def test_seed_755_queued_is_delivered_though_the_channel_lost_it() -> None:
    """A silent link lost it, Redis was emptied before the link was made anew, and `start_loading` came first."""

    async def scenario() -> None:
        async with table() as t:
            await t.enqueue()
            assert t.sent_types() == ["queued"]

    run(scenario())


def test_seed_866_a_client_is_not_told_twice_to_load_one_session() -> None:
    """An older connection's resume ran late, and this one took its player back under a new `seq`."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            await t.channel(start_loading(400, SESSION_A))
            assert t.sent_types() == []

    run(scenario())


def test_seed_7_a_resume_that_runs_late_does_not_take_its_player_from_a_newer_connection(pool: Pool) -> None:
    """Its caller had given up, and so had its client, which was on another node by then: that one got 4000."""
    pool.enqueue("ann")
    pool.hold("ann")
    asked = pool.redis_us()
    assert pool.resume("ann", connection="ann/3", node="n2", asked_us=pool.redis_us())[0] == "ok"

    assert pool.resume("ann", connection="ann/2", asked_us=asked) == ("stale", [])
    assert pool.said_to_node("n2") == []
    assert pool.record("ann")["connection"] == "ann/3"


def test_seed_1805_an_enqueue_that_runs_late_begins_no_journey_over_the_match_of_a_newer_connection(
    pool: Pool,
) -> None:
    """The newer one got 4000, and a player who was matched already was matched once more, with nobody there."""
    pool.register("s1")
    asked = pool.redis_us()
    order = pool.found("ann", "bob")

    assert pool.enqueue("ann", connection="ann/0", asked_us=asked) == ["stale"]
    assert pool.said_to_node("n1") == []
    assert pool.session_of("ann") == order.loading_session_id


def test_seed_266_what_a_reassertion_answers_comes_before_the_match_that_overtook_it() -> None:
    """The match formed in the same round trip; its frame came over the channel before the answer did."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            behind = [match_cancelled(300, SESSION_A), queued(301, requeued=True)]
            t.pool.will_answer(journey.CatchUp, Answer("behind"))
            t.pool.will_answer(journey.Reassert, Answer("ok", (EPOCH, *(json.dumps(frame) for frame in behind))))
            t.port.catch_up()
            t.port.deliver("ann", json.dumps(start_loading(302, SESSION_B)).encode())
            await t.channel()
            assert t.sent_types() == ["match_cancelled", "queued", "start_loading"]

    run(scenario())


def test_seed_266_a_repeated_loading_complete_is_accepted_though_redis_has_forgotten_the_match() -> None:
    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            await t.channel(match_found(300, SESSION_A))
            t.sent()
            await t.client(type="loading_complete", loading_session_id=SESSION_A)
            assert t.sent() == []
            assert t.pool.got(journey.Ready) == []

    run(scenario())


def test_seed_649_after_the_end_nothing_of_another_connections_journey_is_passed_on() -> None:
    """It carries that journey's resume token; but its end alone, whatever the token, is enough to hold it back."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_queued()
            await t.channel({"type": "dequeued", "seq": 200, "reason": "requested"})
            t.sent()
            await t.channel(queued(300))
            assert t.sent() == []

    run(scenario())


def test_seed_135068_a_catch_up_that_has_to_wait_lets_no_later_frame_pass() -> None:
    """The link was renewed while the session was busy: a frame behind that news passed those lost before it."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            put_back = [match_cancelled(400, SESSION_A), queued(401, requeued=True)]
            t.pool.will_answer(journey.CatchUp, Answer("behind"), Answer("ok"))
            t.pool.will_answer(journey.Reassert, Answer("ok", (EPOCH, *(json.dumps(frame) for frame in put_back))))
            t.port.catch_up()
            t.port.catch_up()
            t.port.deliver(PLAYER, json.dumps(start_loading(302, SESSION_B)).encode())
            await t.channel()
            assert t.sent() == put_back

    run(scenario())


def test_seed_10289_after_a_failed_catch_up_it_asks_again_by_itself() -> None:
    """Frames that came later were passed on, and those that the link had lost never were."""

    async def scenario() -> None:
        async with table() as t:
            await t.be_loading(SESSION_A)
            lost = [match_cancelled(300, SESSION_A), queued(301, requeued=True)]
            found = (*lost, start_loading(302, SESSION_B))
            away = StoreUnavailable("away")
            t.pool.will_answer(journey.CatchUp, away, Answer("ok", tuple(json.dumps(frame) for frame in found)))
            await t.catch_up()
            await t.channel(found[-1])
            assert t.sent_types() == []
            await asyncio.sleep(1)
            assert t.sent_types() == ["match_cancelled", "queued", "start_loading"]
            assert t.pool.got(journey.CatchUp)[-1].connection == CONNECTION

    run(scenario())
