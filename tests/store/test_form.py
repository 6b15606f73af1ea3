"""form: what a proposer wishes becomes a match, or changes nothing."""

from dataclasses import replace

import pytest

from match_server.store.tickets import Formed, Proposal, Refused, Stale
from tests.store.pool import RANKED
from tests.store.ranked_pool import RULES, RankedPool, changes


def test_a_proposal_becomes_a_match_and_its_frames_say_what_the_rules_settled(ranked: RankedPool) -> None:
    tickets = ranked.alone("ann", "bob", "cat", "dan")
    ranked.everything_said()
    head = ranked.head()

    (outcome,) = ranked.form(tickets, teams={"blue": ["ann", "cat"], "red": ["bob", "dan"]}, region="eu")

    assert isinstance(outcome, Formed)
    assert len(outcome.waits_us) == 4
    (frame,) = ranked.frames("dan")
    assert frame["type"] == "start_loading"
    assert frame["loading_session_id"] == outcome.loading_session_id == ranked.session_of("dan")
    assert frame["players"] == ["ann", "bob", "cat", "dan"]
    assert frame["teams"] == {"blue": ["ann", "cat"], "red": ["bob", "dan"]}
    assert (frame["region"], frame["rules_version"]) == ("eu", RULES)
    assert ranked.waiting() == {}
    assert changes(ranked.feed(head)) == [("removed", *(ticket.ticket_id for ticket in tickets))]


def test_the_order_carries_what_the_rules_settled_and_all_attributes(ranked: RankedPool) -> None:
    ranked.arrive("ann", rating=1200)
    ranked.arrive("bob", rating=1300)
    ranked.party("pair", "cat", "dan")
    ranked.formed(*ranked.waiting().values(), properties={"map": 'a "b"\tc'})

    for player in ("ann", "bob", "cat"):
        assert ranked.ready(player).order is None
    order = ranked.ready("dan").order

    assert order is not None
    assert order.players == ("ann", "bob", "cat", "dan")
    assert order.settled["attributes"] == {
        "ann": {"rating": 1200},
        "bob": {"rating": 1300},
        "cat": {"rating": 1500},
        "dan": {"rating": 1500},
    }
    assert order.settled["properties"] == {"map": 'a "b"\tc'}
    assert order.settled["rules_version"] == RULES
    ranked.confirm(order)
    assert ranked.frames("ann")[-1]["properties"] == {"map": 'a "b"\tc'}
    ranked.check()
    assert not [key for key in ranked.key_names() if key.startswith(("ticket:", "party:", "tickets:"))]


def test_a_stale_ticket_fails_its_proposal_alone(ranked: RankedPool) -> None:
    """P16, and invariant 11 of the others: conflicts cost them nothing."""
    first, second = ranked.alone("ann", "bob"), ranked.alone("cat", "dan")
    ranked.leave("bob")

    outcomes = ranked.form(first, second)

    assert outcomes[0] == Stale(first[1].ticket_id)
    assert isinstance(outcomes[1], Formed)
    assert list(ranked.waiting()) == [first[0].ticket_id], "ann goes on waiting where it stood"


def test_a_link_that_breaks_before_the_commit_makes_the_proposal_stale(ranked: RankedPool) -> None:
    """P1."""
    party = ranked.party("pair", "ann", "bob")
    others = ranked.alone("cat", "dan")
    ranked.hold("bob")

    with ranked.nothing_changes():
        assert ranked.form([*others, party]) == [Stale(party.ticket_id)]


def test_another_version_is_stale(ranked: RankedPool) -> None:
    (ann, bob) = ranked.alone("ann", "bob")
    ranked.hold("ann")
    ranked.resume("ann", connection="ann/2")

    assert ranked.form([bob, ann]) == [Stale(ann.ticket_id)]
    (again,) = (ticket for ticket in ranked.waiting().values() if ticket.ticket_id == ann.ticket_id)
    assert (again.version, again.enqueued_at_us) == (ann.version + 1, ann.enqueued_at_us)
    assert isinstance(ranked.form([bob, again])[0], Formed)


def test_a_ticket_stands_in_one_match_however_often_it_is_proposed(ranked: RankedPool) -> None:
    """P2 and P10: two proposers, a proposal that names a ticket twice, and two that share one."""
    ann, bob, cat = ranked.alone("ann", "bob", "cat")

    twice, first, second = ranked.form([ann, ann], [ann, bob], [bob, cat])

    assert twice == Stale(ann.ticket_id)
    assert isinstance(first, Formed)
    assert second == Stale(bob.ticket_id)
    assert ranked.form([ann, bob]) == [Stale(ann.ticket_id)], "the repeat of a call finds its tickets matched"


def test_nobody_is_no_match(ranked: RankedPool) -> None:
    with ranked.nothing_changes():
        assert ranked.form([]) == [Stale("")]


def test_a_ticket_of_another_mode_is_stale(ranked: RankedPool) -> None:
    (ann,) = ranked.alone("ann")
    ranked.do(ranked.tickets.publish_rules(1, {RANKED: RULES, "other": RULES}))
    proposal = Proposal((ann,), {})

    with ranked.nothing_changes():
        assert ranked.do(ranked.tickets.form("other", [proposal], rules_version=RULES, loading_timeout_us=1)) == [
            Stale(ann.ticket_id)
        ]


def test_players_who_came_while_the_mode_was_drawn_at_random_get_tickets(ranked: RankedPool) -> None:
    ranked.enqueue("ann", "bob", "held", mode=RANKED)
    ranked.hold("bob")
    ranked.resume("bob", connection="bob/2", mode=RANKED)
    ranked.hold("held")
    since = {player: int(ranked.record(player)["enqueued_at"]) for player in ("ann", "bob")}
    assert ranked.do(ranked.tickets.take_lease(RANKED, RULES)).without_ticket == 2

    assert ranked.do(ranked.tickets.give_tickets(RANKED, {"rating": 1500})) == 2
    ranked.check()
    assert ranked.do(ranked.tickets.take_lease(RANKED, RULES)).without_ticket == 0

    waiting = list(ranked.waiting().values())
    assert {ticket.players[0]: ticket.enqueued_at_us for ticket in waiting} == since
    assert all(ticket.attributes == {ticket.players[0]: {"rating": 1500}} for ticket in waiting)
    assert isinstance(ranked.form(waiting)[0], Formed)
    ranked.resume("held", connection="held/2", mode=RANKED)
    assert ranked.do(ranked.tickets.give_tickets(RANKED, {})) == 1
    ranked.check()


def test_no_more_matches_form_than_have_a_slot_to_come(ranked: RankedPool) -> None:
    """P9, and race 6."""
    ranked.do(ranked.registry.remove("s1"))
    ranked.register("small", capacity=1)
    tickets = ranked.alone("ann", "bob", "cat", "dan")

    first, second = ranked.form(tickets[:2], tickets[2:])

    assert isinstance(first, Formed)
    assert second == Refused("no_slot")
    assert list(ranked.waiting()) == [ticket.ticket_id for ticket in tickets[2:]]


def test_other_rules_than_the_pools_form_nothing(ranked: RankedPool) -> None:
    """P8."""
    tickets = ranked.alone("ann", "bob")
    ranked.do(ranked.tickets.publish_rules(1, {RANKED: "rules-2"}))

    assert ranked.form(tickets) == [Refused("other_rules")]
    assert isinstance(ranked.form(tickets, rules="rules-2")[0], Formed)


def test_a_paused_mode_forms_nothing(ranked: RankedPool) -> None:
    tickets = ranked.alone("ann", "bob")
    ranked.do(ranked.operators.pause(RANKED, paused=True))

    assert ranked.form(tickets) == [Refused("queue_paused")]


def test_a_listed_ticket_that_is_gone_is_taken_off_the_list(ranked: RankedPool) -> None:
    (ann,) = ranked.alone("ann")
    ghost = replace(ann, ticket_id="ghost")
    ranked.redis("ZADD", f"{ranked.prefix}tickets:{RANKED}", 1, "ghost")

    assert ranked.form([ghost]) == [Stale("ghost")]
    assert list(ranked.waiting()) == [ann.ticket_id]


def test_many_proposals_go_in_calls_that_are_bounded(ranked: RankedPool) -> None:
    ranked.register("large", capacity=100)
    tickets = ranked.alone(*(f"p{number}" for number in range(40)))

    outcomes = ranked.form(*(tickets[i : i + 2] for i in range(0, 40, 2)))

    sessions = {outcome.loading_session_id for outcome in outcomes if isinstance(outcome, Formed)}
    assert len(sessions) == 20


@pytest.mark.parametrize("connection", ["", "ann/2"])
def test_a_cancelled_match_puts_tickets_back_with_their_age(ranked: RankedPool, connection: str) -> None:
    """One member held meanwhile keeps its ticket out of reach."""
    tickets = ranked.alone("ann", "bob", "cat", "dan")
    ranked.formed(*tickets)
    if not connection:
        ranked.hold("ann")
    ranked.leave("dan")
    ranked.check()

    back = tickets[:3] if connection else tickets[1:3]
    waiting = ranked.waiting()
    assert list(waiting) == [ticket.ticket_id for ticket in back]
    assert [waiting[ticket.ticket_id].enqueued_at_us for ticket in back] == [ticket.enqueued_at_us for ticket in back]
    assert [frame["type"] for frame in ranked.frames("bob")][-2:] == ["match_cancelled", "queued"]
