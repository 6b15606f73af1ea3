import json
from typing import Literal

import pytest

from match_server.store.journey import Answer, Enqueue, Step
from tests.store.pool import JUST_NOW, Pool, answered, kinds


def test_a_player_who_enqueues_is_queued_and_told_so(pool: Pool) -> None:
    assert pool.enqueue("ann") == ["queued"]

    record = pool.record("ann")
    assert record == {
        "state": "queued",
        "game_mode": "duel",
        "enqueued_at": record["enqueued_at"],
        "connection": "ann/1",
        "node": "n1",
        "operation": "1",
        "resume_token": "token-of-ann",
        "seq": record["seq"],
        "queued_seq": record["seq"],
    }
    assert pool.members("queue:duel") == ["ann"]
    assert pool.score("waiting:duel", "ann") == int(record["enqueued_at"])
    assert pool.members("node_players:n1") == ["ann"]
    assert pool.texts("ann") == [
        f'{{"type":"queued","seq":{record["seq"]},"game_mode":"duel","resume_token":"token-of-ann","requeued":false}}'
    ]


def test_the_answer_carries_what_the_frame_says_for_a_session_that_misses_the_frame(pool: Pool) -> None:
    result = pool.step("duel", Step(enqueues=[Enqueue("ann", "ann/1", 1, "secret", JUST_NOW)]))

    record = pool.record("ann")
    epoch = pool.hash("clock")["epoch"]
    (answer,) = result.enqueues
    assert isinstance(answer, Answer)
    assert answer.code == "queued"
    assert answer.fields[:4] == ("secret", record["seq"], record["enqueued_at"], epoch)
    assert [json.loads(answer.fields[4])] == pool.frames("ann")


def test_a_batch_is_answered_item_by_item_in_its_order(pool: Pool) -> None:
    pool.enqueue("bob")

    assert pool.enqueue("ann", "bob", "cid", connection="new") == ["queued", "elsewhere", "queued"]
    assert pool.members("queue:duel") == ["ann", "bob", "cid"]


def test_the_repeat_of_an_enqueue_is_answered_alike_and_changes_nothing(pool: Pool) -> None:
    pool.enqueue("ann", "bob")

    with pool.nothing_changes():
        assert pool.enqueue("ann", "bob") == ["queued", "queued"]


def test_a_repeat_is_answered_with_the_first_token_also_once_the_player_is_matched(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    queued, _ = pool.frames("ann")

    with pool.nothing_changes():
        repeat = pool.step("duel", Step(enqueues=[Enqueue("ann", "ann/1", 1, "another", JUST_NOW)]))
        answer = answered(repeat.enqueues[0])
        assert answer.code == "queued"
        assert answer.fields[:3] == ("token-of-ann", str(queued["seq"]), pool.record("ann")["enqueued_at"])


def test_the_same_player_twice_in_one_batch_is_queued_once(pool: Pool) -> None:
    first = Enqueue("ann", "ann/1", 1, "first", JUST_NOW)
    second = Enqueue("ann", "ann/2", 1, "second", JUST_NOW)

    result = pool.step("duel", Step(enqueues=[first, second, first]))

    first_answer, refusal, repeat = result.enqueues
    assert answered(first_answer).fields[0] == "first"
    assert refusal == Answer("elsewhere", ("queued", "duel", "first"))
    assert repeat == first_answer
    assert kinds(pool.frames("ann")) == ["queued"]


def test_a_second_connection_without_the_token_is_refused_and_hears_nothing(pool: Pool) -> None:
    pool.enqueue("ann")

    with pool.nothing_changes():
        assert pool.enqueue("ann", connection="thief") == ["elsewhere"]


def test_a_further_enqueue_of_the_same_connection_is_refused_while_its_journey_runs(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")

    with pool.nothing_changes():
        assert pool.enqueue("ann", operation=2) == ["already_in_queue"]
        assert pool.enqueue("ann", operation=2, mode="trio") == ["already_in_queue"]
    assert pool.confirm(order).code == "matched"
    assert pool.enqueue("ann", operation=2) == ["queued"]


def test_the_refusal_of_a_connections_own_further_enqueue_says_what_it_owns(pool: Pool) -> None:
    pool.enqueue("ann")
    own = Enqueue("ann", "ann/1", 2, "second", JUST_NOW)
    other = Enqueue("ann", "thief", 1, "third", JUST_NOW)

    result = pool.step("duel", Step(enqueues=[own, other]))

    assert answered(result.enqueues[0]).code == "already_in_queue"
    assert answered(result.enqueues[0]).fields[:2] == ("token-of-ann", pool.record("ann")["queued_seq"])
    assert result.enqueues[1] == Answer("elsewhere", ("queued", "duel", "token-of-ann")), "for the node alone"


def test_after_match_found_an_enqueue_is_a_new_journey_and_the_older_connection_is_told(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")
    found = pool.frames("ann")[-1]

    assert pool.enqueue("ann", connection="ann/2", node="n2", mode="trio") == ["queued"]

    assert pool.said_to_node("n1") == ["taken_over ann ann/1"]
    (queued,) = pool.frames("ann")
    assert queued["seq"] > found["seq"]
    record = pool.record("ann")
    assert (record["state"], record["game_mode"], record["connection"]) == ("queued", "trio", "ann/2")
    assert "session_id" not in record
    assert pool.ttl("player:ann") == -1, "a queued player's record does not expire"
    assert pool.members("node_players:n2") == ["ann"]


def test_a_new_journey_on_the_same_connection_closes_nobody(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")

    assert pool.enqueue("ann", operation=2) == ["queued"]
    assert pool.said_to_node("n1") == []


def test_a_paused_mode_takes_nobody(pool: Pool) -> None:
    pool.enqueue("bob")
    pool.do(pool.operators.pause("duel", paused=True))

    with pool.nothing_changes():
        assert pool.enqueue("ann") == ["queue_paused"]
        assert pool.enqueue("bob") == ["queued"], "the repeat of an enqueue from before the pause"
    assert pool.enqueue("ann", mode="trio") == ["queued"]
    pool.do(pool.operators.pause("duel", paused=False))
    assert pool.enqueue("cid") == ["queued"]


def test_a_matched_player_keeps_its_match_when_the_mode_is_paused(pool: Pool) -> None:
    pool.register("s1")
    pool.found("ann", "bob")
    pool.do(pool.operators.pause("duel", paused=True))

    with pool.nothing_changes():
        assert pool.enqueue("ann", operation=2) == ["queue_paused"]


@pytest.mark.parametrize("reason", ["requested", "disconnected"])
def test_an_enqueue_overtaken_by_its_own_leave_is_stale(
    pool: Pool, reason: Literal["requested", "disconnected"]
) -> None:
    pool.enqueue("ann", operation=1)
    pool.leave("ann", reason=reason, operation=2)

    with pool.nothing_changes():
        assert pool.enqueue("ann", operation=1) == ["stale"]
        assert pool.enqueue("ann", operation=2) == ["stale"]
    assert pool.enqueue("ann", operation=3) == ["queued"]


def test_an_enqueue_that_arrives_after_its_connection_left_a_match_that_loaded_is_stale(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.leave("ann", reason="disconnected", operation=2)

    with pool.nothing_changes():
        assert pool.enqueue("ann", operation=1) == ["stale"]


def test_who_left_may_queue_on_another_connection_and_is_not_disturbed_by_what_the_first_one_sent(pool: Pool) -> None:
    pool.enqueue("ann", operation=1)
    pool.leave("ann", reason="disconnected", operation=2)
    assert pool.enqueue("ann", connection="ann/2", operation=1) == ["queued"]

    with pool.nothing_changes():
        assert pool.enqueue("ann", operation=1) == ["elsewhere"]


def test_seq_grows_from_one_journey_to_the_next(pool: Pool) -> None:
    for operation in range(1, 10, 2):
        pool.enqueue("ann", operation=operation)
        pool.leave("ann", operation=operation + 1)

    assert kinds(pool.frames("ann")) == ["queued", "dequeued"] * 5  # frames() holds that seq grows


def test_seq_grows_also_when_redis_clock_went_back(pool: Pool) -> None:
    pool.enqueue("ann")
    ahead = int(pool.record("ann")["seq"]) + 3_600_000_000
    pool.redis("HSET", f"{pool.prefix}player:ann", "seq", ahead)
    pool.frames("ann")

    pool.leave("ann")
    pool.enqueue("ann", operation=3)

    assert [frame["seq"] for frame in pool.frames("ann")] == [ahead + 1, ahead + 2]
