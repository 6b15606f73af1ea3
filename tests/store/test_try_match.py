import json
import re
import secrets

import pytest

from match_server.protocol import UUID_PATTERN
from match_server.store.journey import Matched, Step
from tests.store.pool import LOADING_SECONDS, SECOND_US, SIZES, Pool, kinds

HOUR_US = 3600 * SECOND_US


@pytest.mark.parametrize("mode", SIZES)
def test_a_full_match_of_every_size_is_formed_in_one_step(pool: Pool, mode: str) -> None:
    pool.register("s1")
    players = sorted(f"p{number:02}" for number in range(SIZES[mode]))
    pool.enqueue(*players, mode=mode)
    pool.everything_said()

    matched = pool.match(mode)

    assert (matched.formed, matched.more, matched.unplaced) == (1, False, 0)
    assert len(matched.waits_us) == SIZES[mode]
    session = pool.session_of(players[0])
    assert re.match(UUID_PATTERN, session)
    fields = pool.hash(f"loading:{session}")
    assert sorted(json.loads(fields["#players"])) == players
    assert [fields[player] for player in players] == ["loading"] * SIZES[mode]
    assert (fields["#state"], fields["#game_mode"], fields["#missing"]) == ("loading", mode, str(SIZES[mode]))
    for player in players:
        record = pool.record(player)
        assert (record["state"], record["loading_session_id"]) == ("loading", session)
    assert pool.score(f"sessions:loading:{mode}", session) == int(fields["#deadline"])
    assert int(fields["#deadline"]) - int(fields["#created"]) == LOADING_SECONDS * SECOND_US
    assert not {f"queue:{mode}", f"waiting:{mode}"} & pool.key_names()


def test_every_player_is_told_the_same_match(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")

    names = pool.hash(f"loading:{session}")["#players"]
    for player in ("ann", "bob"):
        seq = pool.record(player)["seq"]
        assert pool.texts(player)[1:] == [
            f'{{"type":"start_loading","seq":{seq},"loading_session_id":"{session}","game_mode":"duel",'
            f'"players":{names},"timeout_seconds":60}}'
        ]


def test_one_player_short_nothing_happens(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann", "bob", mode="trio")

    with pool.nothing_changes():
        assert pool.match("trio") == Matched()


def test_matching_an_empty_queue_changes_nothing(pool: Pool) -> None:
    with pool.nothing_changes():
        assert pool.match() == Matched()


def test_with_no_server_players_wait_and_are_told_nothing_false(pool: Pool) -> None:
    pool.enqueue("ann", "bob")

    with pool.nothing_changes():
        assert pool.match() == Matched(lacks_slot=True)


def test_a_paused_mode_forms_no_match_and_who_waits_keeps_waiting(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    pool.enqueue("ann", "bob")
    pool.enqueue("cid", "dan", "eve", mode="trio")
    pool.do(pool.operators.pause("duel", paused=True))

    with pool.nothing_changes():
        assert pool.match().formed == 0
    assert pool.match("trio").formed == 1
    pool.do(pool.operators.pause("duel", paused=False))
    assert pool.match().formed == 1


def test_no_more_matches_form_than_there_are_slots(pool: Pool) -> None:
    pool.register("s1", capacity=1)
    pool.register("s2", capacity=1)
    pool.enqueue(*(f"p{number}" for number in range(10)))

    assert pool.match().formed == 2
    assert pool.match().formed == 0, "the slots that loading matches will take are spoken for"
    assert pool.queue().waiting == 6


def test_matches_on_their_way_count_as_slots_taken_in_each_stage(pool: Pool) -> None:
    pool.register("s1", capacity=1)
    order = pool.allocating("ann", "bob")
    pool.enqueue("cid", "dan")

    assert pool.match().formed == 0
    pool.confirm(order)
    assert pool.match().formed == 0
    pool.end("s1", order.loading_session_id)
    assert pool.match().formed == 1


def test_a_match_that_waits_for_a_slot_is_served_before_new_ones_form(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.heartbeat("s1", draining=True)
    for player in ("ann", "bob"):
        pool.ready(player)
    pool.enqueue("cid", "dan")
    pool.heartbeat("s1", draining=False)

    matched = pool.match()

    assert (matched.formed, matched.unplaced) == (0, 1)
    assert [order.loading_session_id for order in pool.place()] == [session]


def test_slots_of_servers_restricted_to_other_modes_do_not_count(pool: Pool) -> None:
    pool.register("trios", capacity=5, game_modes=("trio",))
    pool.enqueue("ann", "bob", "cid", "dan")

    assert pool.match().formed == 0
    pool.register("duels", capacity=1, game_modes=("duel", "raid"))
    assert pool.match().formed == 1


def test_a_shared_slot_is_not_promised_to_two_modes(pool: Pool) -> None:
    pool.register("any", capacity=1)
    pool.loading("ann", "bob")
    pool.enqueue("cid", "dan", "eve", mode="trio")

    assert pool.match("trio").formed == 0


def test_another_modes_matches_count_first_on_servers_of_their_own(pool: Pool) -> None:
    pool.register("any", capacity=1)
    pool.register("duels", capacity=1, game_modes=("duel",))
    pool.loading("ann", "bob")
    pool.enqueue("cid", "dan", "eve", mode="trio")

    assert pool.match("trio").formed == 1
    pool.enqueue("fay", "gus")
    assert pool.match().formed == 0


def test_those_in_front_are_matched_first_longest_wait_first(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    for player in ("early", "later"):
        pool.enqueue(player)
        pool.hold(player)
        pool.move_clock(1)
    pool.enqueue(*(f"p{number}" for number in range(20)))
    for player in ("later", "early"):
        pool.resume(player, connection=f"{player}/2")
    assert pool.members("queue:duel:front") == ["early", "later"]

    pool.run("try_match", "duel", 2, 2, secrets.token_hex(16), 60 * SECOND_US, "")

    assert pool.session_of("early") == pool.session_of("later") != ""


def test_one_call_is_bounded_by_its_cap_and_says_that_more_would_form(pool: Pool) -> None:
    pool.register("s1", capacity=100)
    pool.enqueue(*(f"p{number}" for number in range(12)))

    def formed_and_more() -> list[int]:
        return list(pool.run("try_match", "duel", 2, 5, secrets.token_hex(16), HOUR_US, "")[:2])

    assert [formed_and_more() for _ in range(4)] == [[2, 1], [2, 1], [2, 0], [0, 0]]


def test_a_mode_larger_than_the_cap_still_forms_one_match(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    pool.enqueue(*(f"p{number}" for number in range(20)), mode="raid")

    assert pool.run("try_match", "raid", 10, 3, secrets.token_hex(16), HOUR_US, "")[:2] == [1, 1]


def test_more_says_nothing_of_players_without_slots(pool: Pool) -> None:
    pool.register("s1", capacity=1)
    pool.enqueue("ann", "bob", "cid", "dan")

    matched = pool.match()

    assert (matched.formed, matched.more) == (1, False)


def test_a_ghost_in_the_queue_is_never_matched(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    pool.enqueue("ann", "bob", "cid")
    for ghost in ("no-record", "other-mode", "loading", "held"):
        pool.redis("SADD", f"{pool.prefix}queue:duel", ghost)
    pool.redis("ZADD", f"{pool.prefix}queue:duel:front", 1, "no-record-in-front")
    pool.enqueue("other-mode", mode="trio")
    pool.redis("HSET", f"{pool.prefix}player:loading", "state", "loading", "game_mode", "duel", "connection", "c")
    pool.redis("HSET", f"{pool.prefix}player:held", "state", "queued", "game_mode", "duel", "connection", "")

    while pool.match().more:
        pass

    matched = {player for player in ("ann", "bob", "cid") if pool.record(player)["state"] == "loading"}
    assert len(matched) == 2
    (session,) = {pool.session_of(player) for player in matched}
    assert set(json.loads(pool.hash(f"loading:{session}")["#players"])) == matched
    assert pool.queue().waiting == 1, "the third still waits, and the ghosts are gone"


def test_those_left_over_when_ghosts_break_a_group_stay_where_they_stood(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    pool.enqueue("senior", mode="trio")
    pool.hold("senior")
    pool.resume("senior", connection="senior/2")
    score = pool.score("queue:trio:front", "senior")
    pool.enqueue("ann", mode="trio")
    pool.redis("SADD", f"{pool.prefix}queue:trio", "ghost")

    assert pool.match("trio").formed == 0

    assert pool.members("queue:trio") == ["ann"]
    assert pool.score("queue:trio:front", "senior") == score
    assert pool.record("ann")["state"] == pool.record("senior")["state"] == "queued"


def test_a_key_of_a_wrong_type_costs_nobody_else_its_place(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    pool.enqueue("ann", "bob", "cid")
    pool.redis("DEL", f"{pool.prefix}player:cid")
    pool.redis("SET", f"{pool.prefix}player:cid", "rubbish")

    pool.match()
    pool.match()

    assert pool.session_of("ann") == pool.session_of("bob") != ""


def test_a_player_in_both_parts_of_the_queue_is_matched_once(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    pool.enqueue("ann", "bob")
    pool.redis("ZADD", f"{pool.prefix}queue:duel:front", 1, "ann")

    while pool.match().more:
        pass

    session = pool.session_of("ann")
    assert sorted(json.loads(pool.hash(f"loading:{session}")["#players"])) == ["ann", "bob"]


def test_the_repeat_of_a_call_forms_further_matches_and_harms_none(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    call = ("try_match", "duel", 2, 2, "one seed", HOUR_US, "")
    pool.enqueue("ann", "bob", "cid", "dan")

    assert [pool.run(*call)[0] for _ in range(3)] == [1, 1, 0]

    sessions = {player: pool.session_of(player) for player in ("ann", "bob", "cid", "dan")}
    assert len(set(sessions.values())) == 2, "each match has an id of its own"
    for player, session in sessions.items():
        fields = pool.hash(f"loading:{session}")
        assert player in json.loads(fields["#players"])
        assert len([field for field in fields if not field.startswith("#")]) == 2


def test_waits_are_told_in_microseconds(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann")
    pool.move_clock(7)
    pool.enqueue("bob")

    longest, shortest = sorted(pool.match().waits_us, reverse=True)

    assert 7_000_000 <= longest < 8_000_000
    assert 0 <= shortest < 1_000_000


def test_queued_comes_before_the_start_loading_it_leads_to(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")

    assert kinds(pool.frames("ann")) == ["queued", "start_loading"]


@pytest.mark.parametrize(("version", "formed"), [("theirs", 0), ("ours", 1)])
def test_of_a_mode_that_is_another_in_the_pool_nothing_is_formed(pool: Pool, version: str, formed: int) -> None:
    pool.register("s1")
    pool.enqueue("ann", "bob")
    pool.run("publish_rules", 1, 0, "duel", version, "trio", "any")

    matched = pool.step("duel", Step(match=1, rules_version="ours")).matched

    assert (matched.formed, matched.rules_differ, matched.more) == (formed, formed == 0, False)


def test_a_mode_that_the_pool_does_not_name_is_formed(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann", "bob")
    pool.run("publish_rules", 1, 0, "trio", "any")

    assert pool.step("duel", Step(match=1, rules_version="ours")).matched.formed == 1
