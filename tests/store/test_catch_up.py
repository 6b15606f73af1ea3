from tests.store.pool import Pool, kinds, without_seq


def test_a_session_that_missed_nothing_gets_nothing(pool: Pool) -> None:
    pool.enqueue("ann")
    (queued,) = pool.frames("ann")

    with pool.nothing_changes():
        assert pool.catch_up("ann", seq=queued["seq"]) == ("ok", [])


def test_every_frame_that_was_missed_comes_in_order_as_it_was(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann")
    (queued,) = pool.frames("ann")
    assert pool.catch_up("ann") == ("ok", [queued])

    pool.loading("ann", "bob")
    (start,) = pool.frames("ann")
    code, frames = pool.catch_up("ann")
    assert (code, kinds(frames)) == ("ok", ["queued", "start_loading"])
    assert frames[0] == queued
    assert frames[1] | {"timeout_seconds": 60} == start
    assert kinds(pool.catch_up("ann", seq=queued["seq"])[1]) == ["start_loading"]

    for player in ("ann", "bob"):
        order = pool.ready(player).order
    assert order is not None
    assert kinds(pool.catch_up("ann")[1]) == ["queued", "start_loading"]
    pool.confirm(order)
    (found,) = pool.frames("ann")
    assert pool.catch_up("ann", seq=start["seq"]) == ("ok", [found])
    assert pool.catch_up("ann") == ("ok", [queued, found])
    assert pool.catch_up("ann", seq=found["seq"]) == ("ok", [])


def test_a_missed_cancellation_is_not_jumped_over(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    delivered = pool.frames("ann")[-1]["seq"]
    pool.leave("bob")
    pool.enqueue("cid")
    pool.match()
    missed = pool.frames("ann")

    code, frames = pool.catch_up("ann", seq=delivered)

    assert (code, kinds(frames)) == ("ok", ["match_cancelled", "queued", "start_loading"])
    assert frames[:2] == missed[:2]
    assert frames[2]["loading_session_id"] == pool.session_of("ann")


def test_the_time_to_load_is_what_is_left_of_it(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.move_clock(50)

    assert 9 < pool.catch_up("ann")[1][-1]["timeout_seconds"] <= 10


def test_a_player_that_has_left_is_told_why(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.move_clock(61)
    pool.renew()
    pool.sweep()
    dequeued = pool.frames("ann")[-1]

    assert pool.catch_up("ann", seq=1) == ("ok", [dequeued])
    assert pool.catch_up("ann", seq=1, connection="stranger") == ("taken_over", [])
    assert without_seq([dequeued]) == [{"type": "dequeued", "reason": "loading_timeout"}]
    assert pool.catch_up("ann", seq=dequeued["seq"]) == ("behind", [])


def test_of_an_unknown_player_redis_knows_nothing(pool: Pool) -> None:
    assert pool.catch_up("nobody") == ("behind", [])


def test_a_connection_that_no_longer_owns_its_player_is_told_so_and_nothing_else(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.resume("ann", connection="ann/2")

    assert pool.catch_up("ann", connection="ann/1") == ("taken_over", [])


def test_a_record_older_than_what_was_delivered_is_behind(pool: Pool) -> None:
    pool.enqueue("ann")

    assert pool.catch_up("ann", seq=int(pool.record("ann")["seq"]) + 1) == ("behind", [])


def test_a_connection_whose_node_was_declared_dead_may_resume(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.move_clock(6)
    pool.sweep(node="n2")

    assert pool.catch_up("ann") == ("behind", [])
    assert pool.resume("ann", connection="ann/1")[0] == "ok"
    assert pool.catch_up("ann", seq=int(pool.record("ann")["seq"])) == ("ok", [])


def test_reading_changes_nothing(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")

    with pool.nothing_changes():
        for connection in ("ann/1", "thief"):
            pool.catch_up("ann", connection=connection)


def test_a_record_from_before_this_connections_claim_is_behind(pool: Pool) -> None:
    """Redis came back with older data: the record names the connection that this one took the player over from."""
    pool.enqueue("ann")
    earlier = pool.contents()
    resumed, queued = pool.resume("ann", connection="ann/2")[1]
    pool.put_back(earlier)

    told = {"seq": queued["seq"], "claimed": resumed["seq"], "connection": "ann/2"}
    with pool.nothing_changes():
        assert pool.catch_up("ann", **told) == ("behind", [])
        assert pool.catch_up("ann", **told | {"claimed": int(earlier["player:ann"]["seq"])}) == ("taken_over", [])


def test_a_record_of_another_journey_of_the_same_connection_is_behind(pool: Pool) -> None:
    pool.enqueue("ann")

    assert pool.catch_up("ann", token="another journey's") == ("behind", [])
