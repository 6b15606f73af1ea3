"""An operator takes players out: of the queue, of a party, of a match that loads."""

from match_server.store.operators import Removed
from tests.store.pool import Pool, kinds
from tests.store.ranked_pool import RankedPool


def removed(pool: Pool, *players: str) -> list[Removed]:
    return pool.do(pool.operators.remove(players, players=5))


def test_a_player_in_the_queue_is_told_and_gone(pool: Pool) -> None:
    pool.enqueue("ann", "bob")
    pool.everything_said()

    assert removed(pool, "ann", "eve") == [Removed("ok", "queued", None), Removed("not_in_queue", "", None)]
    (frame,) = pool.frames("ann")
    assert (frame["type"], frame["reason"]) == ("dequeued", "operator")
    assert pool.record("ann") == {}
    assert pool.members("queue:duel") == ["bob"]
    assert pool.frames("bob") == []
    with pool.nothing_changes():
        assert removed(pool, "ann") == [Removed("not_in_queue", "", None)]


def test_a_held_player_is_gone_too(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    assert removed(pool, "ann") == [Removed("ok", "queued", None)]
    assert pool.record("ann") == {}


def test_of_a_match_that_loads_the_others_are_put_back(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.everything_said()

    assert removed(pool, "ann") == [Removed("ok", "loading", session)]
    assert [frame["reason"] for frame in pool.frames("ann")] == ["operator"]
    assert kinds(pool.frames("bob")) == ["match_cancelled", "queued"]
    assert pool.members("queue:duel:front") == ["bob"]


def test_once_a_match_is_being_placed_it_is_too_late(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")

    with pool.nothing_changes():
        assert removed(pool, "ann") == [Removed("too_late", "allocating", order.loading_session_id)]
    pool.confirm(order)
    with pool.nothing_changes():
        assert removed(pool, "ann") == [Removed("too_late", "matched", order.loading_session_id)]


def test_a_party_goes_as_one(ranked: RankedPool) -> None:
    for player in ("ann", "bob"):
        ranked.arrive(player, "pals", 2)
    ranked.arrive("cat", "gathering", 2)
    ranked.everything_said()

    assert [each.code for each in removed(ranked, "ann", "cat", "bob")] == ["ok", "ok", "not_in_queue"]
    assert [frame["reason"] for frame in ranked.frames("ann")] == ["operator"]
    assert [frame["reason"] for frame in ranked.frames("bob")] == ["party_left"]
    assert [frame["reason"] for frame in ranked.frames("cat")] == ["operator"]
