"""Parties: players with one `party_id` become one ticket, and stay together from then on."""

from match_server.store.tickets import Formed, Part
from tests.store.pool import GRACE_SECONDS, PARTY_SECONDS, RANKED, SECOND_US
from tests.store.ranked_pool import RankedPool, changes
from tests.store.raw_pool import Frame


def kinds(frames: list[Frame]) -> list[str]:
    return [frame["type"] for frame in frames]


def pass_time(ranked: RankedPool, seconds: float) -> None:
    ranked.move_clock(seconds)
    ranked.renew()
    assert ranked.sweep().acted
    ranked.check()


# --- gathering ---


def test_each_arrival_is_heard_by_all_who_are_there(ranked: RankedPool) -> None:
    assert ranked.arrive("ann", "pals", 3) == "gathering"
    ranked.move_clock(10)
    assert ranked.arrive("bob", "pals", 3) == "gathering"

    first, second = ranked.frames("ann")
    assert (first["type"], first["party_id"], first["members"], first["missing"]) == ("party", "pals", ["ann"], 2)
    assert first["timeout_seconds"] == PARTY_SECONDS
    assert (second["members"], second["missing"]) == (["ann", "bob"], 1)
    assert PARTY_SECONDS - 11 < second["timeout_seconds"] <= PARTY_SECONDS - 10
    assert [frame["members"] for frame in ranked.frames("bob")] == [["ann", "bob"]]
    assert ranked.waiting() == {}
    assert ranked.record("ann")["state"] == "gathering"


def test_the_last_one_makes_it_one_ticket_which_waits_from_then_on(ranked: RankedPool) -> None:
    ranked.alone("cat")
    ranked.arrive("ann", "pals", 2, rating=1000)
    ranked.everything_said()
    ranked.move_clock(20)
    before = ranked.now_us()
    head = ranked.head()

    assert ranked.arrive("bob", "pals", 2, rating=2000) == "queued"

    _, ticket = ranked.waiting().values()
    assert (ticket.players, ticket.party_id) == (("ann", "bob"), "pals")
    assert ticket.attributes == {"ann": {"rating": 1000}, "bob": {"rating": 2000}}
    assert ticket.enqueued_at_us >= before
    for player in ("ann", "bob"):
        (queued,) = ranked.frames(player)
        assert (queued["type"], queued["ticket_id"], queued["requeued"]) == ("queued", ticket.ticket_id, False)
        assert int(ranked.record(player)["enqueued_at"]) == ticket.enqueued_at_us
    assert changes(ranked.feed(head)) == [("put", ticket.ticket_id)]


def test_a_party_of_one_waits_at_once(ranked: RankedPool) -> None:
    assert ranked.arrive("ann", "pals", 1) == "queued"
    assert ranked.arrive("bob", "pals", 1) == "party_mismatch"


def test_another_size_another_mode_and_a_fourth_of_three_are_refused(ranked: RankedPool) -> None:
    ranked.arrive("ann", "pals", 3)
    with ranked.nothing_changes():
        assert ranked.arrive("bob", "pals", 2) == "party_mismatch"
        assert ranked.enqueue("bob", mode="duel", part=Part({}, "pals", 3)) == ["party_mismatch"]
    ranked.arrive("bob", "pals", 3)
    ranked.arrive("cat", "pals", 3)
    with ranked.nothing_changes():
        assert ranked.arrive("dan", "pals", 3) == "party_mismatch"


def test_one_player_has_one_ticket(ranked: RankedPool) -> None:
    """P5: enqueued twice, with another size, or in two parties."""
    ranked.arrive("ann", "pals", 3)

    with ranked.nothing_changes():
        assert ranked.arrive("ann", "pals", 2, operation=2) == "already_in_queue"
        assert ranked.arrive("ann", "others", 3, operation=2) == "already_in_queue"
        assert ranked.arrive("ann", "others", 3, connection="ann/2") == "elsewhere"


def test_the_repeat_of_an_arrival_changes_nothing(ranked: RankedPool) -> None:
    ranked.arrive("ann", "pals", 2)
    with ranked.nothing_changes():
        assert ranked.arrive("ann", "pals", 2) == "gathering"
    ranked.arrive("bob", "pals", 2)
    with ranked.nothing_changes():
        assert ranked.arrive("ann", "pals", 2) == "queued"
        assert ranked.arrive("bob", "pals", 2) == "queued"


def test_two_parties_of_one_batch_do_not_mix(ranked: RankedPool) -> None:
    part, other = Part({}, "pals", 2), Part({}, "others", 2)
    for party in (part, other):
        ranked.enqueue(*(f"{party.party_id}-{number}" for number in (1, 2)), mode=RANKED, part=party)
    ranked.check()

    assert [ticket.players for ticket in ranked.waiting().values()] == [
        ("pals-1", "pals-2"),
        ("others-1", "others-2"),
    ]


def test_who_does_not_gather_in_time_leaves(ranked: RankedPool) -> None:
    ranked.arrive("ann", "pals", 3)
    ranked.move_clock(PARTY_SECONDS - 1)
    ranked.arrive("bob", "pals", 3)
    pass_time(ranked, 0.5)
    ranked.everything_said()

    pass_time(ranked, 1)

    assert [ranked.frames(player)[-1]["reason"] for player in ("ann", "bob")] == ["party_timeout"] * 2
    assert ranked.arrive("cat", "pals", 3) == "gathering", "the party's id is free again"


def test_a_paused_mode_lets_a_party_complete_and_forms_nothing(ranked: RankedPool) -> None:
    """P15: and the time to gather runs on."""
    ranked.arrive("ann", "pals", 2)
    ranked.arrive("cat", "late", 2)
    ranked.do(ranked.operators.pause(RANKED, paused=True))

    assert ranked.arrive("dan") == "queue_paused"
    assert ranked.arrive("dan", "new", 2) == "queue_paused"
    assert ranked.arrive("bob", "pals", 2) == "queued"
    pass_time(ranked, PARTY_SECONDS + 1)
    assert ranked.frames("cat")[-1]["reason"] == "party_timeout"
    assert [ticket.players for ticket in ranked.waiting().values()] == [("ann", "bob")]


# --- leaving ---


def test_a_member_that_leaves_takes_its_party_along(ranked: RankedPool) -> None:
    ranked.arrive("ann", "pals", 3)
    ranked.arrive("bob", "pals", 3)
    ranked.leave("bob")
    ranked.check()

    assert ranked.frames("bob")[-1]["reason"] == "requested"
    left = ranked.frames("ann")[-1]
    assert (left["type"], left["reason"], left["player_id"]) == ("dequeued", "party_left", "bob")
    assert not [key for key in ranked.key_names() if key.startswith(("ticket:", "party:", "gathering"))]


def test_so_it_does_while_the_party_waits(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob")
    head = ranked.head()
    ranked.leave("ann", reason="disconnected")
    ranked.check()

    assert ranked.frames("bob")[-1]["player_id"] == "ann"
    assert changes(ranked.feed(head)) == [("removed", party.ticket_id)]


def test_a_member_that_leaves_as_the_party_is_matched_is_out_or_in_its_match(ranked: RankedPool) -> None:
    """P6: one script each, so either it is out before, or the match has the party."""
    party, (cat, dan) = ranked.party("pals", "ann", "bob"), ranked.alone("cat", "dan")
    ranked.formed(party, cat, dan)
    assert ranked.leave("ann").code == "ok"
    ranked.check()

    assert list(ranked.waiting()) == [cat.ticket_id, dan.ticket_id]


def test_a_grace_that_ends_ends_the_party(ranked: RankedPool) -> None:
    """P14: until then the member counts as there."""
    ranked.arrive("ann", "pals", 3, node="n2")
    ranked.hold("ann")
    ranked.arrive("bob", "pals", 3)
    assert ranked.frames("bob")[-1]["members"] == ["ann", "bob"]

    pass_time(ranked, GRACE_SECONDS + 1)

    left = ranked.frames("bob")[-1]
    assert (left["reason"], left["player_id"]) == ("party_left", "ann")


def test_the_queues_time_limit_ends_the_whole_ticket(ranked: RankedPool) -> None:
    ranked.party("pals", "ann", "bob")
    ranked.move_clock(61)
    ranked.renew()
    ranked.sweep(queue_timeout=60)
    ranked.check()

    assert [ranked.frames(player)[-1]["reason"] for player in ("ann", "bob")] == ["queue_timeout"] * 2


# --- links that break ---


def test_a_held_member_holds_the_whole_ticket_back_and_its_seniority_stays(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob")
    head = ranked.head()
    ranked.hold("ann")
    ranked.check()
    assert ranked.waiting() == {}

    code, frames = ranked.resume("ann", connection="ann/2", mode=RANKED)
    ranked.check()

    assert (code, kinds(frames), frames[0]["state"]) == ("ok", ["resumed", "queued"], "queued")
    assert frames[1]["ticket_id"] == party.ticket_id
    (back,) = ranked.waiting().values()
    assert back.enqueued_at_us == party.enqueued_at_us
    assert changes(ranked.feed(head)) == [("held", party.ticket_id), ("put", party.ticket_id)]


def test_two_held_members_have_to_come_back_both(ranked: RankedPool) -> None:
    ranked.party("pals", "ann", "bob")
    ranked.hold("ann")
    ranked.hold("bob")
    ranked.resume("bob", connection="bob/2", mode=RANKED)
    assert ranked.waiting() == {}
    ranked.resume("ann", connection="ann/2", mode=RANKED)

    assert len(ranked.waiting()) == 1
    ranked.check()


def test_a_party_that_completes_with_a_held_member_waits_out_of_reach(ranked: RankedPool) -> None:
    ranked.arrive("ann", "pals", 2)
    ranked.hold("ann")
    assert ranked.arrive("bob", "pals", 2) == "queued"
    assert ranked.waiting() == {}

    _, frames = ranked.resume("ann", connection="ann/2", mode=RANKED)

    assert kinds(frames) == ["resumed", "queued"]
    assert len(ranked.waiting()) == 1
    ranked.check()


def test_a_resume_while_the_party_gathers(ranked: RankedPool) -> None:
    ranked.arrive("ann", "pals", 2)
    ranked.hold("ann")

    code, frames = ranked.resume("ann", connection="ann/2", mode=RANKED)

    assert (code, kinds(frames), frames[0]["state"]) == ("ok", ["resumed", "party"], "gathering")
    assert frames[1]["missing"] == 1
    assert ranked.arrive("bob", "pals", 2) == "queued"


def test_a_session_that_missed_frames_reads_them(ranked: RankedPool) -> None:
    ranked.arrive("ann", "pals", 3)
    first = ranked.frames("ann")[0]["seq"]
    ranked.arrive("bob", "pals", 3)

    code, (party,) = ranked.catch_up("ann", seq=first, claimed=first)
    assert (code, party["members"]) == ("ok", ["ann", "bob"])

    ranked.arrive("cat", "pals", 3)
    _, (queued,) = ranked.catch_up("ann", seq=party["seq"], claimed=first)
    assert queued["type"] == "queued"
    ranked.leave("cat")
    _, (left,) = ranked.catch_up("ann", seq=queued["seq"], claimed=first)
    assert left["player_id"] == "cat"


# --- cancelled matches ---


def test_the_party_of_whoever_never_loaded_leaves_and_all_others_go_back_whole(ranked: RankedPool) -> None:
    """P7."""
    pals, others = ranked.party("pals", "ann", "bob"), ranked.party("others", "cat", "dan")
    ranked.formed(pals, others)
    for player in ("bob", "cat", "dan"):
        ranked.ready(player)
    ranked.everything_said()
    head = ranked.head()

    pass_time(ranked, 61)

    assert [frame["reason"] for frame in ranked.frames("ann")] == ["loading_timeout"]
    (left,) = ranked.frames("bob")
    assert (left["type"], left["reason"], left["player_id"]) == ("dequeued", "party_left", "ann")
    assert kinds(ranked.frames("cat")) == ["match_cancelled", "queued"]
    (back,) = ranked.waiting().values()
    assert (back.ticket_id, back.enqueued_at_us) == (others.ticket_id, others.enqueued_at_us)
    assert back.version > others.version
    assert changes(ranked.feed(head)) == [("put", others.ticket_id)]


def test_two_members_at_fault_each_hear_their_own_reason(ranked: RankedPool) -> None:
    pals, (cat, dan) = ranked.party("pals", "ann", "bob"), ranked.alone("cat", "dan")
    ranked.formed(pals, cat, dan)
    ranked.ready("cat")

    pass_time(ranked, 61)

    reasons = {player: ranked.frames(player)[-1]["reason"] for player in ("ann", "bob", "dan")}
    assert reasons == dict.fromkeys(("ann", "bob", "dan"), "loading_timeout")
    assert list(ranked.waiting()) == [cat.ticket_id]


def test_the_party_of_who_left_during_a_failed_allocation_leaves_with_it(ranked: RankedPool) -> None:
    pals, others = ranked.party("pals", "ann", "bob"), ranked.party("others", "cat", "dan")
    ranked.formed(pals, others)
    order = None
    for player in ("ann", "bob", "cat", "dan"):
        order = ranked.ready(player).order
    ranked.leave("ann", reason="disconnected")
    ranked.check()
    while order is not None:
        code, order = ranked.fail(order, "error")
    assert code == "waiting"
    pass_time(ranked, 31)

    assert ranked.frames("bob")[-1]["player_id"] == "ann"
    assert list(ranked.waiting()) == [others.ticket_id]


def test_a_party_id_is_free_once_its_match_is_found(ranked: RankedPool) -> None:
    """P12: and not before."""
    pals, others = ranked.party("pals", "ann", "bob"), ranked.party("others", "cat", "dan")
    ranked.formed(pals, others)
    assert ranked.arrive("eve", "pals", 2) == "party_mismatch"
    order = None
    for player in ("ann", "bob", "cat", "dan"):
        order = ranked.ready(player).order
    assert order is not None
    ranked.confirm(order)
    ranked.check()

    assert ranked.arrive("bob", "pals", 2, operation=2) == "gathering"
    assert ranked.arrive("ann", "pals", 2, operation=2) == "queued"
    (again,) = ranked.waiting().values()
    assert again.players == ("bob", "ann")


# --- a Redis that lost its data ---


def lose(ranked: RankedPool) -> None:
    ranked.lose_everything()
    ranked.register("s1", capacity=10)


def test_a_party_that_gathered_gathers_anew_with_its_first_members_time(ranked: RankedPool) -> None:
    """P4: three of four are there when Redis is emptied."""
    for player in ("ann", "bob", "cat"):
        ranked.arrive(player, "pals", 4)
    part = Part({"rating": 1500}, "pals", 4)
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in ("ann", "bob", "cat")}
    lose(ranked)
    joined = {player: str(ranked.now_us() - ago * SECOND_US) for player, ago in (("cat", 5), ("ann", 15), ("bob", 10))}
    for player, since in joined.items():
        code, frames = ranked.reassert(
            player,
            seq=seqs[player],
            claimed=1,
            state="gathering",
            mode=RANKED,
            enqueued_at=since,
            part=part,
            epoch="lost",
        )
        assert (code, kinds(frames)) == ("put_back", ["party"])
        ranked.check()

    assert frames[0]["members"] == ["cat", "ann", "bob"]
    assert frames[0]["timeout_seconds"] < PARTY_SECONDS - 15
    assert ranked.arrive("dan", "pals", 4) == "queued"
    ranked.check()


def test_a_party_that_waited_comes_back_with_its_age(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob")
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in party.players}
    lose(ranked)
    part = Part({"rating": 1500}, "pals", 2)

    frames: list[Frame] = []
    for player in party.players:
        _, frames = ranked.reassert(
            player,
            seq=seqs[player],
            mode=RANKED,
            enqueued_at=str(party.enqueued_at_us),
            part=part,
            claimed=1,
            epoch="lost",
        )
        ranked.check()

    assert kinds(frames) == ["queued"]
    assert kinds(ranked.frames("ann")) == ["queued"]
    (back,) = ranked.waiting().values()
    assert (back.players, back.enqueued_at_us) == (party.players, party.enqueued_at_us)


def test_who_is_missing_after_a_loss_is_missed_by_its_party(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob")
    seq = ranked.frames("ann")[-1]["seq"]
    lose(ranked)
    ranked.reassert(
        "ann",
        seq=seq,
        mode=RANKED,
        enqueued_at=str(party.enqueued_at_us),
        part=Part({"rating": 1500}, "pals", 2),
        claimed=1,
        epoch="lost",
    )

    pass_time(ranked, PARTY_SECONDS + 1)

    assert ranked.frames("ann")[-1]["reason"] == "party_timeout"


def test_a_party_that_loaded_goes_back_to_the_queue_whole(ranked: RankedPool) -> None:
    party, (cat,) = ranked.party("pals", "ann", "bob"), ranked.alone("cat")
    session = ranked.formed(party, cat)
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in ("ann", "bob", "cat")}
    lose(ranked)
    parts = {player: Part({"rating": 1500}, "pals", 2) for player in ("ann", "bob")} | {"cat": Part({"rating": 1500})}

    heard = {}
    for player, part in parts.items():
        _, heard[player] = ranked.reassert(
            player,
            seq=seqs[player],
            state="loading",
            session=session,
            mode=RANKED,
            enqueued_at=str((cat if player == "cat" else party).enqueued_at_us),
            part=part,
            claimed=1,
            epoch="lost",
        )
        ranked.check()

    assert {player: kinds(frames) for player, frames in heard.items()} == {
        "ann": ["match_cancelled", "party"],
        "bob": ["match_cancelled", "queued"],
        "cat": ["match_cancelled", "queued"],
    }
    assert [ticket.players for ticket in ranked.waiting().values()] == [("ann", "bob"), ("cat",)]


def test_a_member_in_its_grace_proves_its_part_by_its_token(ranked: RankedPool) -> None:
    """P13."""
    party = ranked.party("pals", "ann", "bob")
    seq = ranked.frames("bob")[-1]["seq"]
    ranked.hold("ann")
    lose(ranked)
    part = Part({"rating": 1700}, "pals", 2)
    made_at_us = party.enqueued_at_us

    code, frames = ranked.resume("ann", connection="ann/2", mode=RANKED, made_at_us=made_at_us - SECOND_US, part=part)
    ranked.check()
    assert (code, kinds(frames), frames[0]["state"]) == ("ok", ["resumed", "party"], "gathering")
    ranked.reassert(
        "bob", seq=seq, mode=RANKED, enqueued_at=str(made_at_us), part=Part({}, "pals", 2), claimed=1, epoch="lost"
    )
    ranked.check()

    (back,) = ranked.waiting().values()
    assert back.attributes == {"ann": {"rating": 1700}, "bob": {}}
    assert back.enqueued_at_us == made_at_us - SECOND_US


def test_a_rolled_back_redis_gets_the_party_back(ranked: RankedPool) -> None:
    """Redis comes back from before the party was complete, and from before it was matched."""
    part = Part({"rating": 1500}, "pals", 2)
    ranked.arrive("ann", "pals", 2)
    incomplete = ranked.contents()
    ranked.arrive("bob", "pals", 2)
    (party,) = ranked.waiting().values()
    complete = ranked.contents()
    (cat,) = ranked.alone("cat")
    session = ranked.formed(party, cat)
    seqs = {player: ranked.frames(player)[-1]["seq"] for player in ("ann", "bob", "cat")}

    for contents, claimed in ((complete, None), (incomplete, 1)):
        ranked.put_back(contents)
        for player in party.players:
            ranked.reassert(
                player,
                seq=seqs[player],
                state="loading",
                session=session,
                mode=RANKED,
                enqueued_at=str(party.enqueued_at_us),
                part=part,
                claimed=claimed,
                epoch="lost",
            )
            ranked.check()
        assert [ticket.players for ticket in ranked.waiting().values()] == [party.players]


def test_a_record_of_another_party_is_replaced_and_that_party_left(ranked: RankedPool) -> None:
    ranked.arrive("ann", "old", 2)
    ranked.arrive("bob", "old", 2)
    ranked.frames("ann")

    code, frames = ranked.reassert(
        "ann",
        seq=2**52,
        claimed=2**52,
        state="gathering",
        mode=RANKED,
        token="of-the-new-journey",
        enqueued_at=str(ranked.now_us()),
        part=Part({}, "new", 2),
    )
    ranked.check()

    assert (code, kinds(frames), frames[-1]["party_id"]) == ("put_back", ["party"], "new")
    assert ranked.frames("bob")[-1]["player_id"] == "ann"


def test_a_private_match_is_a_party_alone(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob", "cat", "dan")

    assert isinstance(ranked.form([party])[0], Formed)
