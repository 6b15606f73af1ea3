"""snapshot, read_feed, lease_proposer and publish_rules: what a proposer knows of the waiting tickets."""

import pytest

from match_server.store.tickets import LEASE_SECONDS, TICKETS_PER_PAGE, Lease, Part, PoolRules, Put
from tests.store.pool import RANKED, SECOND_US
from tests.store.ranked_pool import RULES, RankedPool, changes


def test_a_ticket_is_in_the_snapshot_with_all_that_the_rules_need(ranked: RankedPool) -> None:
    ranked.arrive("ann", rating=1234)

    (ticket,) = ranked.waiting().values()

    assert ticket.ticket_id == ranked.ticket_of("ann")
    assert (ticket.players, ticket.party_id) == (("ann",), "")
    assert ticket.attributes == {"ann": {"rating": 1234}}
    assert ticket.enqueued_at_us == int(ranked.record("ann")["enqueued_at"])


def test_the_queued_frame_names_the_ticket(ranked: RankedPool) -> None:
    ranked.arrive("ann")

    (frame,) = ranked.frames("ann")
    assert (frame["type"], frame["ticket_id"]) == ("queued", ranked.ticket_of("ann"))


def test_pages_give_every_ticket_once_oldest_first(ranked: RankedPool) -> None:
    players = [f"p{number}" for number in range(2 * TICKETS_PER_PAGE + 5)]
    tickets = ranked.alone(*players[:1])
    for player in players[1:]:
        ranked.enqueue(player, mode=RANKED, part=Part({"rating": 1500}))
    same_time = str(tickets[0].enqueued_at_us)
    for ticket_id in ranked.members(f"tickets:{RANKED}")[: TICKETS_PER_PAGE + 3]:  # they came in one batch
        ranked.redis("ZADD", f"{ranked.prefix}tickets:{RANKED}", same_time, ticket_id)

    waiting = ranked.waiting()

    assert {ticket.players[0] for ticket in waiting.values()} == set(players)


def test_the_feed_tells_every_change_in_order(ranked: RankedPool) -> None:
    ranked.arrive("early")
    head = ranked.head()
    ranked.arrive("ann")
    ann = ranked.ticket_of("ann")
    ranked.hold("ann")
    ranked.resume("ann", connection="ann/2")
    ranked.leave("ann", connection="ann/2")

    feed = ranked.feed(head)

    assert changes(feed) == [("put", ann), ("held", ann), ("put", ann), ("removed", ann)]
    assert (feed.gap, feed.head) == (False, head + 4)
    put = feed.changes[2]
    assert isinstance(put, Put)
    assert (put.ticket.version, put.ticket.players) == (2, ("ann",))
    assert changes(ranked.feed(feed.head)) == []


def test_a_snapshot_and_the_feed_behind_it_miss_nothing(ranked: RankedPool) -> None:
    ranked.arrive("ann")
    page = ranked.do(ranked.tickets.snapshot(RANKED))
    ranked.arrive("bob")

    assert [ticket.players for ticket in page.tickets] == [("ann",)]
    assert changes(ranked.feed(page.head)) == [("put", ranked.ticket_of("bob"))]


def test_a_trimmed_feed_has_a_gap(ranked: RankedPool) -> None:
    """P3."""
    ranked.arrive("ann")
    head = ranked.head()
    ranked.arrive("bob")
    ranked.arrive("cat")
    ranked.redis("XTRIM", f"{ranked.prefix}feed:{RANKED}", "MAXLEN", 1)

    assert ranked.feed(head).gap
    assert not ranked.feed(head + 1).gap
    ranked.redis("DEL", f"{ranked.prefix}feed:{RANKED}")
    assert ranked.feed(head + 1).gap
    assert not ranked.feed(head + 2).gap


def test_a_feed_with_a_hole_is_read_up_to_it(ranked: RankedPool) -> None:
    ranked.arrive("ann")
    head = ranked.head()
    for player in ("bob", "cat", "dan"):
        ranked.arrive(player)
    ranked.redis("XDEL", f"{ranked.prefix}feed:{RANKED}", f"{head + 2}-0")

    feed = ranked.feed(head)

    assert (changes(feed), feed.gap) == ([("put", ranked.ticket_of("bob"))], False)
    assert ranked.feed(feed.head).gap


def test_an_emptied_redis_is_a_gap_and_another_epoch(ranked: RankedPool) -> None:
    """P3: the ids begin far ahead of those that were lost."""
    ranked.arrive("ann")
    before = ranked.do(ranked.tickets.snapshot(RANKED))
    ranked.lose_everything()
    ranked.arrive("bob")

    feed = ranked.feed(before.head)

    assert feed.gap
    assert feed.epoch != before.epoch


def test_what_the_holder_of_the_lease_has_read_is_deleted(ranked: RankedPool) -> None:
    """P2: a stale holder deletes nothing."""
    lease = ranked.do(ranked.tickets.take_lease(RANKED, RULES))
    ranked.arrive("ann")
    ranked.arrive("bob")
    feed = ranked.feed(ranked.head() - 1)
    assert len(feed.changes) == 1

    ranked.do(ranked.tickets.feed(RANKED, feed.head, lease=Lease("n1", lease.fence - 1)))
    assert ranked.redis("XLEN", f"{ranked.prefix}feed:{RANKED}") == 2
    ranked.do(ranked.tickets.feed(RANKED, feed.head, lease=lease))
    assert ranked.redis("XLEN", f"{ranked.prefix}feed:{RANKED}") == 0


def test_one_node_has_the_lease_until_it_runs_out(ranked: RankedPool) -> None:
    other = ranked.tickets_of("n2")

    first = ranked.do(ranked.tickets.take_lease(RANKED, RULES))
    assert first.node == "n1"
    assert ranked.do(ranked.tickets.take_lease(RANKED, RULES)) == first
    assert ranked.do(other.take_lease(RANKED, RULES)) == first
    ranked.move_clock(LEASE_SECONDS + 0.1)
    second = ranked.do(other.take_lease(RANKED, RULES))
    assert second.node == "n2"
    assert second.fence > first.fence
    assert ranked.do(ranked.tickets.take_lease(RANKED, RULES)) == second
    ranked.move_clock(LEASE_SECONDS + 0.1)
    assert ranked.do(ranked.tickets.take_lease(RANKED, RULES)).fence > second.fence


def test_the_highest_revision_of_the_rules_holds_and_of_equal_ones_the_last(ranked: RankedPool) -> None:
    """P11."""
    publish = ranked.tickets.publish_rules

    assert ranked.do(publish(3, {"a": "1", "b": "2"})) == PoolRules(3, {"a": "1", "b": "2"})
    assert ranked.do(publish(2, {"a": "old"})) == PoolRules(3, {"a": "1", "b": "2"})
    assert ranked.do(publish(3, {"a": "4"})) == PoolRules(3, {"a": "4"})


def test_lost_rules_come_back_and_replace_none_of_their_revision(ranked: RankedPool) -> None:
    publish = ranked.tickets.publish_rules

    assert ranked.do(publish(0, {RANKED: "mine"}, only_if_lost=True)) == PoolRules(0, {RANKED: RULES})
    ranked.redis("DEL", f"{ranked.prefix}rules")
    assert ranked.do(publish(8, {RANKED: "older"}, only_if_lost=True)) == PoolRules(8, {RANKED: "older"})
    assert ranked.do(publish(9, {RANKED: "mine"}, only_if_lost=True)) == PoolRules(9, {RANKED: "mine"})
    assert ranked.do(publish(8, {RANKED: "older"}, only_if_lost=True)) == PoolRules(9, {RANKED: "mine"})


@pytest.mark.parametrize("mode", [RANKED, "never-heard-of"])
def test_a_mode_in_which_nobody_has_waited_has_nothing_to_read(ranked: RankedPool, mode: str) -> None:
    page = ranked.do(ranked.tickets.snapshot(mode))

    assert (page.tickets, page.cursor, page.head) == ((), "", 0)
    assert not ranked.do(ranked.tickets.feed(mode, page.head)).gap


def test_the_time_in_which_nobody_swept_widens_no_window(ranked: RankedPool) -> None:
    """All nodes were away for a thousand seconds: the clock of the pool, and so a ticket's age, has stood still."""
    (ticket,) = ranked.alone("ann")

    def age_us() -> int:
        return ranked.do(ranked.tickets.snapshot(RANKED)).now_us - ticket.enqueued_at_us

    ranked.move_clock(1000)
    ranked.redis("HINCRBY", f"{ranked.prefix}clock", "swept_us", -1000 * SECOND_US)
    assert age_us() >= 1000 * SECOND_US
    ranked.sweep()
    assert abs(age_us()) < 5 * SECOND_US
