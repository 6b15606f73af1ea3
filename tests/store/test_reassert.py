from typing import Any

from tests.store.pool import Pool, kinds, put_back, without_seq


def test_a_queued_player_that_redis_lost_is_back_in_front_with_its_time(pool: Pool) -> None:
    pool.enqueue("ann")
    before = pool.record("ann")
    (queued,) = pool.frames("ann")
    pool.lose_everything()

    told: dict[str, Any] = {"seq": queued["seq"], "claimed": queued["seq"], "enqueued_at": before["enqueued_at"]}
    code, (again,) = pool.reassert("ann", **told, epoch="before")

    assert code == "put_back"
    assert without_seq([again]) == without_seq([queued | {"requeued": True}])
    assert again["seq"] > queued["seq"], "what was said of the lost state, and is yet on its way, is older"
    record, seq = pool.record("ann"), str(again["seq"])
    assert record == before | {
        "operation": "3",
        "claimed_seq": str(queued["seq"]),
        "seq": seq,
        "queued_seq": seq,
        "requeued": "true",
        "put_back": "ann/1 3",
    }
    assert pool.members("queue:duel:front") == ["ann"]
    assert pool.score("waiting:duel", "ann") == int(before["enqueued_at"])
    assert pool.members("node_players:n1") == ["ann"]
    assert pool.frames("ann") == []


def test_a_loading_player_whose_session_is_lost_is_told_so_and_waits_in_front(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    delivered = pool.frames("ann")[-1]["seq"]
    pool.lose_everything()

    code, frames = pool.reassert("ann", seq=delivered, state="loading", session=session, epoch="before")

    assert code == "put_back"
    assert without_seq(frames) == put_back("ann", session, "state_lost")
    assert delivered < frames[0]["seq"] < frames[1]["seq"] == int(pool.record("ann")["seq"])
    assert pool.members("queue:duel:front") == ["ann"]


def test_the_repeat_says_the_same_again_and_changes_nothing(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    delivered = pool.frames("ann")[-1]["seq"]
    pool.lose_everything()
    _, frames = pool.reassert("ann", seq=delivered, state="loading", session=session, epoch="before")

    with pool.nothing_changes():
        again = pool.reassert("ann", seq=delivered, state="loading", session=session, epoch="before")
    assert again == ("put_back", frames)
    assert pool.catch_up("ann", seq=delivered) == ("ok", frames)


def test_all_players_of_a_lost_match_find_each_other_again(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    delivered = {player: pool.frames(player)[-1]["seq"] for player in ("ann", "bob")}
    pool.lose_everything()
    pool.register("s1")
    for player, seq in delivered.items():
        pool.reassert(player, seq=seq, state="loading", session=session, epoch="before")

    assert pool.match().formed == 1

    assert pool.session_of("ann") == pool.session_of("bob") != session


def test_another_connection_owns_the_player_by_now(pool: Pool) -> None:
    pool.enqueue("ann", connection="ann/2")

    with pool.nothing_changes():
        assert pool.reassert("ann", seq=1, connection="ann/1", epoch="before") == ("taken_over", [])


def test_another_journey_is_nobodys_to_take_back(pool: Pool) -> None:
    pool.enqueue("ann", connection="ann/2")
    pool.redis("HSET", f"{pool.prefix}player:ann", "resume_token", "of the next journey")
    pool.hold("ann", connection="ann/2")

    with pool.nothing_changes():
        assert pool.reassert("ann", seq=1, connection="ann/1") == ("taken_over", [])


def test_a_player_who_left_is_gone_where_redis_has_lost_nothing(pool: Pool) -> None:
    with pool.nothing_changes():
        assert pool.reassert("ann", seq=1) == ("gone", [])


def test_a_player_who_left_meanwhile_is_told_why(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.leave("ann")
    queued, dequeued = pool.frames("ann")

    with pool.nothing_changes():
        assert pool.reassert("ann", seq=queued["seq"], epoch="before") == ("ok", [dequeued])


def test_a_node_that_was_thought_dead_takes_its_player_back(pool: Pool) -> None:
    pool.enqueue("ann")
    (queued,) = pool.frames("ann")
    pool.move_clock(6)
    pool.sweep(node="n2")
    assert pool.members("held") == ["ann"]

    assert pool.reassert("ann", seq=queued["seq"], claimed=queued["seq"]) == ("ok", [])

    assert pool.record("ann")["connection"] == "ann/1"
    assert pool.members("held") == []
    assert pool.members("queue:duel:front") == ["ann"]
    assert pool.members("node_players:n1") == ["ann"]


def test_a_superseded_connection_does_not_take_a_held_player(pool: Pool) -> None:
    pool.enqueue("ann")
    (queued,) = pool.frames("ann")
    resumed, _ = pool.resume("ann", connection="ann/2")[1]
    pool.hold("ann", connection="ann/2")

    assert pool.reassert("ann", seq=queued["seq"], claimed=queued["seq"])[0] == "taken_over"
    assert pool.members("held") == ["ann"]
    told = {"seq": resumed["seq"], "claimed": resumed["seq"], "connection": "ann/2"}
    assert pool.reassert("ann", **told)[0] == "ok"
    assert pool.members("held") == []


def test_what_happened_to_a_held_player_is_told_when_it_is_taken_back(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    delivered = pool.frames("ann")[-1]["seq"]
    claimed = int(pool.record("ann")["queued_seq"])
    pool.hold("ann")
    pool.leave("bob")
    cancelled, queued = pool.frames("ann")

    answer = pool.reassert("ann", seq=delivered, claimed=claimed, state="loading", session=session)

    assert answer == ("ok", [cancelled, queued])
    assert pool.members("queue:duel:front") == ["ann"]


def test_a_record_that_says_what_the_client_was_told_only_learns_the_number(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    ahead = int(pool.record("ann")["seq"]) + 5
    before = pool.record("ann")

    answer = pool.reassert("ann", seq=ahead, state="loading", session=order.loading_session_id)

    assert answer == ("ok", [])
    assert pool.record("ann") == before | {"seq": str(ahead)}
    assert pool.confirm(order).code == "matched"
    assert pool.frames("ann")[-1]["seq"] > ahead


def test_a_matched_player_that_was_thought_gone_is_told_of_its_match(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    delivered = pool.frames("ann")[-1]["seq"]
    told = {"seq": delivered, "claimed": int(pool.record("ann")["queued_seq"])}
    for player in ("ann", "bob"):
        order = pool.ready(player).order
    assert order is not None
    pool.hold("ann")
    pool.confirm(order)
    (found,) = pool.frames("ann")

    assert pool.reassert("ann", **told, state="loading", session=session) == ("ok", [found])
    assert "ann" not in pool.members("node_players:n1")
    assert kinds([found]) == ["match_found"]


def test_the_older_connection_stays_superseded_however_much_it_was_told(pool: Pool) -> None:
    """It hears the player's channel until it is told of the takeover, so its `seq` may be beyond the record's."""
    pool.register("s1")
    pool.enqueue("ann", "bob")
    (first,) = pool.frames("ann")
    pool.resume("ann", connection="ann/2")
    earlier = pool.contents()
    pool.match()
    (start,) = pool.frames("ann")
    pool.put_back(earlier)

    for seq in (start["seq"], int(earlier["player:ann"]["seq"])):
        told = {"seq": seq, "claimed": first["seq"]}
        with pool.nothing_changes():
            assert pool.catch_up("ann", **told) == ("taken_over", [])
            assert pool.reassert("ann", **told, epoch="before") == ("taken_over", [])


def test_two_connections_that_claim_alike_leave_the_player_where_the_record_says(pool: Pool) -> None:
    pool.enqueue("ann", connection="ann/2")
    (queued,) = pool.frames("ann")

    with pool.nothing_changes():
        assert pool.catch_up("ann", seq=queued["seq"], claimed=queued["seq"]) == ("taken_over", [])
        assert pool.reassert("ann", seq=queued["seq"] + 1, claimed=queued["seq"]) == ("taken_over", [])


def test_an_emptied_redis_that_the_older_connection_reached_first_gives_the_player_to_the_newer(pool: Pool) -> None:
    pool.enqueue("ann")
    (first,) = pool.frames("ann")
    resumed, queued = pool.resume("ann", connection="ann/2")[1]
    pool.lose_everything()
    code, frames = pool.reassert("ann", seq=first["seq"], claimed=first["seq"], epoch="before")
    assert code == "put_back"

    told = {"seq": queued["seq"], "claimed": resumed["seq"], "connection": "ann/2"}
    assert pool.catch_up("ann", **told) == ("behind", [])
    assert pool.reassert("ann", **told, epoch="before") == ("ok", frames)

    assert pool.record("ann")["connection"] == "ann/2"
    assert pool.catch_up("ann", seq=first["seq"], claimed=first["seq"]) == ("taken_over", [])


def test_put_back_by_an_older_connection_the_newer_is_told_that_its_match_is_lost(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    first = int(pool.record("ann")["queued_seq"])
    resumed, start = pool.resume("ann", connection="ann/2")[1]
    pool.lose_everything()
    pool.reassert("ann", seq=first, claimed=first, epoch="before")

    told = {"seq": start["seq"], "claimed": resumed["seq"], "connection": "ann/2"}
    code, frames = pool.reassert("ann", **told, state="loading", session=session, epoch="before")

    assert (code, without_seq(frames)) == ("ok", put_back("ann", session, "state_lost"))
    assert start["seq"] < frames[0]["seq"] < frames[1]["seq"]
