import json

from tests.store.pool import ADDRESS, Pool, without_seq


def test_a_held_player_comes_back_in_front_of_the_queue(pool: Pool) -> None:
    pool.enqueue("ann")
    enqueued_at = int(pool.record("ann")["enqueued_at"])
    pool.hold("ann")
    pool.move_clock(3)

    code, frames = pool.resume("ann", connection="ann/2", node="n2")

    assert code == "ok"
    assert without_seq(frames) == [
        {"type": "resumed", "state": "queued", "game_mode": "duel", "resume_token": "token-of-ann"},
        {"type": "queued", "game_mode": "duel", "resume_token": "token-of-ann", "requeued": False},
    ]
    assert pool.members("queue:duel:front") == ["ann"]
    assert pool.score("queue:duel:front", "ann") == enqueued_at
    assert pool.members("held") == []
    assert pool.members("node_players:n2") == ["ann"]
    record = pool.record("ann")
    assert (record["connection"], record["node"], record["operation"]) == ("ann/2", "n2", "1")
    assert int(record["seq"]) == int(record["queued_seq"]) == frames[1]["seq"] == frames[0]["seq"] + 1


def test_the_frames_of_a_resume_are_for_the_new_connection_alone(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.frames("ann")

    pool.resume("ann", connection="ann/2")

    assert pool.frames("ann") == []


def test_a_wrong_token_resumes_nobody(pool: Pool) -> None:
    pool.enqueue("ann")

    with pool.nothing_changes():
        assert pool.resume("ann", connection="thief", token="guessed") == ("invalid_resume_token", [])
        assert pool.resume("nobody", connection="thief") == ("invalid_resume_token", [])
    pool.leave("ann")
    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/2") == ("invalid_resume_token", [])


def test_the_newer_connection_owns_the_player_and_the_older_is_told(pool: Pool) -> None:
    pool.enqueue("ann", node="n1")

    pool.resume("ann", connection="ann/2", node="n2")

    assert pool.said_to_node("n1") == ["taken_over ann ann/1"]
    assert pool.members("queue:duel") == ["ann"], "it never left the queue"
    assert "node_players:n1" not in pool.key_names()
    with pool.nothing_changes():
        assert pool.leave("ann", connection="ann/1").code == "not_in_queue"
        assert pool.hold("ann", connection="ann/1") == "not_in_queue"


def test_a_broken_link_is_taken_over_from_nobody(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")

    pool.resume("ann", connection="ann/2")

    assert pool.said_to_node("n1") == []


def test_the_repeat_of_a_resume_is_answered_alike_and_changes_nothing(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    first = pool.resume("ann", connection="ann/2")

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/2") == first


def test_a_further_resume_of_the_same_connection_has_numbers_of_its_own(pool: Pool) -> None:
    pool.enqueue("ann")
    _, first = pool.resume("ann", connection="ann/2", operation=1)

    code, second = pool.resume("ann", connection="ann/2", operation=2)

    assert (code, without_seq(second)) == ("ok", without_seq(first))
    assert second[0]["seq"] > first[1]["seq"]
    assert pool.said_to_node("n1") == ["taken_over ann ann/1"], "no connection is taken over by itself"


def test_a_loading_player_gets_its_session_with_the_time_that_is_left(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.hold("ann")
    pool.move_clock(20)

    code, frames = pool.resume("ann", connection="ann/2")

    assert code == "ok"
    seconds = frames[1].pop("timeout_seconds")
    assert 39 < seconds <= 40
    players = json.loads(pool.hash(f"loading:{session}")["#players"])
    assert without_seq(frames) == [
        {
            "type": "resumed",
            "state": "loading",
            "game_mode": "duel",
            "loading_session_id": session,
            "resume_token": "token-of-ann",
        },
        {"type": "start_loading", "loading_session_id": session, "game_mode": "duel", "players": players},
    ]
    assert pool.members("queue:duel:front") == []


def test_an_allocating_player_gets_start_loading_too(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.move_clock(61)

    _, frames = pool.resume("ann", connection="ann/2")

    assert (frames[0]["state"], frames[1]["type"], frames[1]["timeout_seconds"]) == ("allocating", "start_loading", 0)
    assert frames[1]["loading_session_id"] == order.loading_session_id


def test_a_matched_player_gets_its_match_on_every_resume(pool: Pool) -> None:
    pool.register("s1")
    order = pool.found("ann", "bob", session_id="their-own-id")
    pool.leave("ann", reason="disconnected")

    for connection in ("ann/2", "ann/3"):
        code, frames = pool.resume("ann", connection=connection)
        assert code == "ok"
        assert frames[0]["state"] == "matched"
        assert without_seq(frames[1:]) == [
            {
                "type": "match_found",
                "session_id": "their-own-id",
                "server_address": ADDRESS,
                "game_mode": "duel",
                "players": list(order.players),
                "loading_session_id": order.loading_session_id,
            }
        ]
    assert pool.said_to_node("n1") == ["taken_over ann ann/2"]
    assert "node_players:n1" not in pool.key_names()
    assert 0 < pool.ttl("player:ann") <= 120, "resuming does not keep the record for ever"


def test_who_left_during_the_allocation_may_still_come_back(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.leave("ann", reason="disconnected")

    assert pool.resume("ann", connection="ann/2")[0] == "ok"

    assert pool.members("node_players:n1") == ["ann", "bob"]
    pool.fail(order, "error")
    pool.move_clock(31)
    pool.renew()
    pool.sweep()
    assert pool.record("ann")["state"] == "queued"


def test_a_resumed_player_is_not_dropped_when_its_grace_would_have_ended(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    pool.resume("ann", connection="ann/2")
    pool.move_clock(6)
    pool.renew()

    assert pool.sweep().grace_ended == 0
    assert pool.record("ann")["state"] == "queued"


def test_a_resumed_requeued_player_hears_that_it_was_requeued(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.leave("bob")
    pool.hold("ann")

    _, frames = pool.resume("ann", connection="ann/2")

    assert frames[1]["requeued"] is True


def test_a_player_in_its_grace_proves_itself_to_an_empty_redis_by_its_token(pool: Pool) -> None:
    pool.enqueue("ann")
    made_at_us = pool.now_us()
    pool.hold("ann")
    pool.lose_everything()

    code, frames = pool.resume("ann", connection="ann/2", made_at_us=made_at_us)

    assert code == "ok"
    assert without_seq(frames) == [
        {"type": "resumed", "state": "queued", "game_mode": "duel", "resume_token": "token-of-ann"},
        {"type": "queued", "game_mode": "duel", "resume_token": "token-of-ann", "requeued": True},
    ]
    assert pool.members("queue:duel:front") == ["ann"]
    assert pool.score("queue:duel:front", "ann") == pool.score("waiting:duel", "ann") == made_at_us
    assert pool.members("held") == []
    assert pool.members("node_players:n1") == ["ann"]
    assert pool.record("ann")["connection"] == "ann/2"


def test_a_matched_player_who_resumes_on_an_emptied_redis_is_queued_again(pool: Pool) -> None:
    """A known limit (docs/operations.md): its token does not say how far it came."""
    pool.register("s1")
    pool.enqueue("ann", "bob")
    made_at_us = int(pool.record("ann")["enqueued_at"])
    pool.found("ann", "bob")
    pool.lose_everything()

    code, frames = pool.resume("ann", connection="ann/2", made_at_us=made_at_us)

    assert (code, frames[0]["state"]) == ("ok", "queued")
    assert pool.members("queue:duel:front") == ["ann"]


def test_restoring_a_player_twice_changes_nothing(pool: Pool) -> None:
    made_at_us = pool.now_us()
    pool.lose_everything()
    first = pool.resume("ann", connection="ann/2", made_at_us=made_at_us)

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/2", made_at_us=made_at_us) == first


def test_a_token_made_since_redis_was_emptied_restores_nobody(pool: Pool) -> None:
    pool.lose_everything()
    made_at_us = pool.now_us()

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/2", made_at_us=made_at_us)[0] == "invalid_resume_token"


def test_a_token_that_no_known_secret_has_signed_is_good_only_by_the_record(pool: Pool) -> None:
    """An emptied Redis got another secret, and a node that began since does not know the one before."""
    pool.enqueue("ann")
    assert pool.resume("ann", connection="ann/2", signed=False)[0] == "ok"
    assert pool.resume("ann", connection="ann/3", token="forged", signed=False)[0] == "invalid_resume_token"
    pool.lose_everything()
    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/4", signed=False)[0] == "invalid_resume_token"


def test_a_player_who_has_left_since_redis_was_emptied_is_not_restored(pool: Pool) -> None:
    made_at_us = pool.now_us()
    pool.lose_everything()
    pool.enqueue("ann")
    pool.leave("ann")

    with pool.nothing_changes():
        assert pool.resume("ann", connection="ann/2", made_at_us=made_at_us)[0] == "invalid_resume_token"


def test_a_token_from_the_future_gives_no_seniority_beyond_now(pool: Pool) -> None:
    pool.lose_everything()
    pool.redis("HDEL", f"{pool.prefix}clock", "emptied_us")  # nobody has swept yet
    future_us = pool.now_us() + 300_000_000

    assert pool.resume("ann", connection="ann/2", made_at_us=future_us)[0] == "ok"

    score = pool.score("queue:duel:front", "ann")
    assert score is not None
    assert score <= pool.now_us()
