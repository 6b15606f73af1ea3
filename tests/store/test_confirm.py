import json

from match_server.store.journey import Confirm, Confirmed
from tests.store.pool import ADDRESS, Pool, kinds


def test_a_confirmed_session_tells_every_player_where_to_go(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    order = pool.allocating("ann", "bob")
    pool.everything_said()
    pool.move_clock(1)

    confirmed = pool.confirm(order, session_id="theirs", address="[2001:db8::1]:7000/x")

    assert (confirmed.code, confirmed.players) == ("matched", order.players)
    assert confirmed.since_match_ms is not None
    assert 1000 <= confirmed.since_match_ms < 2000
    for player in order.players:
        record = pool.record(player)
        assert record["state"] == "matched"
        assert pool.texts(player) == [
            f'{{"type":"match_found","seq":{record["seq"]},"session_id":"theirs",'
            f'"server_address":"[2001:db8::1]:7000/x","game_mode":"duel",'
            f'"players":["{order.players[0]}","{order.players[1]}"],'
            f'"loading_session_id":"{order.loading_session_id}"}}'
        ]


def test_each_player_gets_its_own_join_token_also_when_it_comes_back(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.everything_said()

    pool.confirm(order, join_tokens=tuple(f"token-of-{player}" for player in order.players))

    for player in order.players:
        found = json.loads(pool.texts(player)[0])
        assert found["join_token"] == f"token-of-{player}"
        code, (_, again) = pool.resume(player, connection=f"{player}/2")
        assert (code, again) == ("ok", {**found, "seq": again["seq"]})


def test_what_remains_of_a_match_is_what_the_readme_says(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    order = pool.found("ann", "bob")

    session = order.loading_session_id
    assert pool.key_names() - {
        "clock",
        "events",
        "modes",
        "nodes",
        "modes:pending",
        "modes:waiting",
        "nodes:info",
        "servers",
        "server:s1",
        "servers:free",
        "servers:open:* eu",
    } == {
        "player:ann",
        "player:bob",
        f"match:{session}",
        "matched:duel",
        "active:s1",
    }
    for key in ("player:ann", "player:bob", f"match:{session}", "matched:duel"):
        assert 0 < pool.ttl(key) <= 120
    assert pool.hash("active:s1") == {session: "0"}
    assert pool.free("s1") == 1
    assert pool.queue().matches_last_minute == 1


def test_the_repeat_of_a_confirmation_is_matched_too_and_changes_nothing(pool: Pool) -> None:
    pool.register("s1")
    order = pool.found("ann", "bob")

    with pool.nothing_changes():
        assert pool.confirm(order) == Confirmed("matched")


def test_a_confirmation_of_another_attempt_is_stale(pool: Pool) -> None:
    pool.register("s1")
    pool.register("s2")
    first = pool.allocating("ann", "bob")
    _, second = pool.fail(first, "unknown")
    assert second is not None

    with pool.nothing_changes():
        assert pool.confirm(first) == Confirmed("stale")
    assert pool.confirm(second).code == "matched"


def test_a_confirmation_of_a_match_that_was_given_up_is_stale(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.fail(order, "error")
    with pool.nothing_changes():
        assert pool.confirm(order) == Confirmed("stale"), "it waits for another slot"
    pool.move_clock(31)
    pool.renew()
    pool.sweep()

    with pool.nothing_changes():
        assert pool.confirm(order) == Confirmed("stale")


def test_a_confirmation_of_a_match_that_was_given_up_does_not_touch_the_next_one_of_its_players(pool: Pool) -> None:
    for server in ("s1", "s2"):
        pool.register(server)
    first = pool.allocating("ann", "bob")
    second = pool.fail(first, "full")[1]
    assert second is not None
    pool.fail(second, "full")  # and waits for a slot, for too long
    pool.move_clock(31)
    pool.register("s3")
    pool.renew()
    pool.sweep()
    pool.match()
    assert pool.session_of("ann") not in {"", first.loading_session_id}

    for given_up in (first, second):
        with pool.nothing_changes():
            assert pool.confirm(given_up) == Confirmed("stale")


def test_a_session_that_still_loads_cannot_be_confirmed(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")

    with pool.nothing_changes():
        (confirmed,) = pool.do(pool.journey().confirm([Confirm(session, 0, "x", ADDRESS)]))
        assert confirmed == Confirmed("stale")


def test_a_slot_that_was_voided_makes_the_confirmation_lost(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.register("s1", incarnation="second")

    with pool.nothing_changes():
        assert pool.confirm(order) == Confirmed("lost")
    assert pool.record("ann")["state"] == "allocating"
    code, second = pool.fail(order, "lost")
    assert code == "placed"
    assert second is not None
    assert pool.confirm(second).code == "matched"


def test_an_end_reported_before_its_confirmation_leaves_the_slot_free(pool: Pool) -> None:
    pool.register("s1", max_session_seconds=60)
    order = pool.allocating("ann", "bob")
    pool.end("s1", "short-lived")

    assert pool.confirm(order, session_id="short-lived").code == "matched"

    assert pool.free("s1") == 1
    assert not {"active:s1", "reserved:s1", "ended:s1", "session_deadlines"} & pool.key_names()


def test_a_held_player_is_matched_too_and_held_no_longer(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    pool.hold("ann")

    assert pool.confirm(order).players == order.players

    assert pool.members("held") == []
    pool.move_clock(10)
    pool.renew()
    pool.sweep()
    code, frames = pool.resume("ann", connection="ann/2")
    assert (code, kinds(frames)) == ("ok", ["resumed", "match_found"])


def test_a_batch_is_answered_item_by_item(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    first, second = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")
    items = [
        Confirm(first.loading_session_id, 9, "a", ADDRESS),
        Confirm(second.loading_session_id, 1, "b", ADDRESS),
        Confirm("00000000-0000-4000-a000-000000000000", 1, "c", ADDRESS),
        Confirm(first.loading_session_id, 1, "d", ADDRESS),
    ]

    confirmed = pool.do(pool.journey().confirm(items))

    assert [item.code for item in confirmed if isinstance(item, Confirmed)] == ["stale", "matched", "stale", "matched"]
    assert pool.hash("active:s1") == {"b": "0", "d": "0"}


def test_a_success_ends_a_servers_quarantine_and_its_count_of_failures(pool: Pool) -> None:
    pool.register("s1", capacity=4)
    one, two = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")
    pool.another_failed_on("s1")
    pool.fail(one, "error")
    assert pool.free("s1") == 0

    pool.confirm(two)

    assert pool.free("s1") == 3
    assert not {"failures", "failed_by", "quarantined_until", "probe"} & pool.servers()["s1"].record.keys()
    assert pool.members("quarantine") == []


def test_an_address_with_quotes_reaches_players_unbroken(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    awkward = 'a"b\\c/d\\/e\u00e9\n'

    pool.confirm(order, address=awkward)

    assert pool.frames("ann")[-1]["server_address"] == awkward


def test_matches_of_the_last_minute_are_counted(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    pool.found("ann", "bob")
    pool.move_clock(45)
    pool.renew()
    pool.heartbeat("s1")
    pool.found("cid", "dan")
    assert pool.queue().matches_last_minute == 2

    pool.move_clock(30)

    assert pool.queue().matches_last_minute == 1


def test_a_session_twice_in_one_call_is_one_match(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    order = pool.allocating("ann", "bob")
    pool.everything_said()
    item = Confirm(order.loading_session_id, order.attempt, order.loading_session_id, ADDRESS)

    confirmed = pool.do(pool.journey().confirm([item, item]))

    assert [answer.code for answer in confirmed if isinstance(answer, Confirmed)] == ["matched", "matched"]
    assert kinds(pool.frames("ann")) == ["match_found"]
    assert pool.free("s1") == 1


def test_an_address_is_passed_on_whatever_characters_it_has(pool: Pool) -> None:
    pool.register("s1")

    pool.confirm(pool.allocating("ann", "bob"), address='a/"b"\\c\n\u00e9')

    assert pool.frames("ann")[-1]["server_address"] == 'a/"b"\\c\n\u00e9'
