"""Parties: players with one `party_id` become one ticket, and stay together from then on."""

from match_server.store.tickets import Formed, Part
from tests.store.pool import GRACE_SECONDS, PARTY_SECONDS, RANKED, kinds
from tests.store.ranked_pool import RankedPool, changes

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
    ranked.pass_time(0.5)
    ranked.everything_said()

    ranked.pass_time(1)

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
    ranked.pass_time(PARTY_SECONDS + 1)
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

    ranked.pass_time(GRACE_SECONDS + 1)

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

    ranked.pass_time(61)

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

    ranked.pass_time(61)

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
    ranked.pass_time(31)

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


def test_a_private_match_is_a_party_alone(ranked: RankedPool) -> None:
    party = ranked.party("pals", "ann", "bob", "cat", "dan")

    assert isinstance(ranked.form([party])[0], Formed)
