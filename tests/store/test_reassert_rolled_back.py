"""Reassertions to a Redis that came back with older data than it had."""

from typing import Any

from tests.store.pool import Pool, kinds, without_seq


def test_rolled_back_and_requeued_at_once_a_player_stays_with_the_newer_connection(pool: Pool) -> None:
    """A partner's word cancels the match that came back; the requeue must not look like a claim of the older one."""
    pool.register("s1")
    pool.loading("ann", "bob")
    earlier = pool.contents()
    pool.leave("bob")
    resumed, queued = pool.resume("ann", connection="ann/2", node="n2")[1]
    pool.enqueue("bob", operation=5)
    bobs = pool.frames("bob")[-1]["seq"]
    pool.put_back(earlier)

    assert pool.reassert("bob", seq=bobs, claimed=bobs, epoch="before")[0] == "put_back"
    assert pool.record("ann")["connection"] == "ann/1"
    told = {"seq": queued["seq"], "claimed": resumed["seq"], "connection": "ann/2", "node": "n2"}
    assert pool.reassert("ann", **told, epoch="before")[0] == "ok"
    assert pool.record("ann")["connection"] == "ann/2"


def test_rolled_back_to_before_the_match(pool: Pool) -> None:
    pool.register("s1")
    pool.enqueue("ann", "bob")
    earlier = pool.contents()
    pool.match()
    session = pool.session_of("ann")
    delivered = pool.frames("ann")[-1]["seq"]
    pool.put_back(earlier)

    code, frames = pool.reassert("ann", seq=delivered, state="loading", session=session, epoch="before")

    assert code == "put_back"
    assert kinds(frames) == ["match_cancelled", "queued"]
    assert pool.members("queue:duel") == ["bob"]
    assert pool.members("queue:duel:front") == ["ann"]
    assert pool.record("ann")["state"] == "queued"


def test_rolled_back_to_a_match_that_was_cancelled_since(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    earlier = pool.contents()
    pool.leave("bob")
    enqueued_at = pool.record("ann")["enqueued_at"]
    delivered = pool.frames("ann")[-1]["seq"]
    pool.put_back(earlier)
    pool.everything_said()

    code, frames = pool.reassert("ann", seq=delivered, enqueued_at=enqueued_at, epoch="before")

    assert (code, kinds(frames)) == ("put_back", ["queued"])
    assert f"loading:{session}" not in pool.key_names()
    assert pool.record("ann")["state"] == pool.record("bob")["state"] == "queued"
    assert pool.members("queue:duel:front") == ["ann", "bob"]
    assert pool.record("ann")["enqueued_at"] == enqueued_at
    assert pool.members("waiting:duel") == ["ann", "bob"]


def test_rolled_back_to_before_its_resume_a_player_stays_with_the_newer_connection(pool: Pool) -> None:
    pool.enqueue("ann")
    earlier = pool.contents()
    resumed, queued = pool.resume("ann", connection="ann/2", node="n2")[1]
    pool.put_back(earlier)
    pool.everything_said()
    pool.said_to_node("n1")

    answer = pool.reassert(
        "ann", seq=queued["seq"], claimed=resumed["seq"], connection="ann/2", node="n2", epoch="before"
    )

    assert answer == ("ok", [])
    record = pool.record("ann")
    assert (record["connection"], record["node"], record["seq"]) == ("ann/2", "n2", str(queued["seq"]))
    assert (pool.members("node_players:n1"), pool.members("node_players:n2")) == ([], ["ann"])
    assert pool.members("queue:duel") == ["ann"]
    assert pool.said_to_node("n1") == ["taken_over ann ann/1"]
    assert pool.catch_up("ann", seq=queued["seq"], claimed=resumed["seq"], connection="ann/2") == ("ok", [])
    first_claim = int(earlier["player:ann"]["queued_seq"])
    with pool.nothing_changes():  # the older one lives still, and says so at last
        assert pool.catch_up("ann", seq=first_claim, claimed=first_claim) == ("taken_over", [])
        assert pool.reassert("ann", seq=first_claim, claimed=first_claim, epoch="before") == ("taken_over", [])


def test_rolled_back_and_matched_at_once_a_player_stays_with_the_newer_connection(pool: Pool) -> None:
    """By its `seq` the record is the newer; by its connection's claim it is not."""
    pool.register("s1")
    pool.enqueue("ann", "bob")
    earlier = pool.contents()
    resumed, queued = pool.resume("ann", connection="ann/2")[1]
    pool.put_back(earlier)
    pool.everything_said()
    pool.match()
    (start,) = pool.frames("ann")

    code, frames = pool.reassert("ann", seq=queued["seq"], claimed=resumed["seq"], connection="ann/2", epoch="before")

    assert (code, without_seq(frames)) == (
        "ok",
        without_seq([start | {"timeout_seconds": frames[0]["timeout_seconds"]}]),
    )
    assert pool.record("ann")["connection"] == "ann/2"
    assert pool.ready("ann", connection="ann/2").code == "ok"


def test_a_matched_player_whose_resume_was_rolled_back_hears_of_its_match(pool: Pool) -> None:
    pool.register("s1")
    order = pool.allocating("ann", "bob")
    earlier = pool.contents()
    resumed, start = pool.resume("ann", connection="ann/2", node="n2")[1]
    pool.put_back(earlier)
    pool.everything_said()
    pool.confirm(order)
    (found,) = pool.frames("ann")

    answer = pool.reassert(
        "ann",
        seq=start["seq"],
        claimed=resumed["seq"],
        state="loading",
        session=order.loading_session_id,
        connection="ann/2",
        node="n2",
        epoch="before",
    )

    assert answer == ("ok", [found])
    assert pool.members("node_players:n2") == []


def test_rolled_back_to_an_earlier_journey_of_another_connection(pool: Pool) -> None:
    """It left, and queued anew elsewhere: the earlier journey's match goes on without it."""
    pool.register("s1")
    session = pool.loading("ann", "bob")
    earlier = pool.contents()
    pool.leave("ann")
    pool.frames("ann")
    pool.enqueue("ann", connection="ann/2", node="n2")
    (queued,) = pool.frames("ann")
    pool.put_back(earlier)
    pool.everything_said()
    pool.said_to_node("n1")
    told: dict[str, Any] = {"seq": queued["seq"], "claimed": queued["seq"], "token": "second", "connection": "ann/2"}

    assert pool.catch_up("ann", **told) == ("behind", [])
    code, frames = pool.reassert("ann", **told, node="n2", enqueued_at="7000000", epoch="before")

    assert (code, kinds(frames)) == ("put_back", ["queued"])
    assert f"loading:{session}" not in pool.key_names()
    record = pool.record("ann")
    assert (record["state"], record["resume_token"], record["enqueued_at"]) == ("queued", "second", "7000000")
    assert (record["connection"], record["node"]) == ("ann/2", "n2")
    assert (pool.members("node_players:n1"), pool.members("node_players:n2")) == (["bob"], ["ann"])
    assert pool.said_to_node("n1") == ["taken_over ann ann/1"]
    assert pool.frames("ann") == [], "it knows nothing of that match"
    assert kinds(pool.frames("bob")) == ["match_cancelled", "queued"]


def test_rolled_back_to_an_earlier_journey_of_its_own_connection(pool: Pool) -> None:
    pool.enqueue("ann")
    earlier = pool.contents()
    pool.leave("ann")
    pool.frames("ann")
    pool.enqueue("ann", operation=3)
    (queued,) = pool.frames("ann")
    pool.put_back(earlier)
    told: dict[str, Any] = {"seq": queued["seq"], "claimed": queued["seq"], "token": "second"}

    assert pool.catch_up("ann", **told) == ("behind", [])
    assert pool.reassert("ann", **told, enqueued_at="7000000", epoch="before")[0] == "put_back"

    record = pool.record("ann")
    assert (record["resume_token"], record["enqueued_at"]) == ("second", "7000000")
    assert pool.members("queue:duel") == []
    assert pool.members("queue:duel:front") == ["ann"]
    assert pool.score("waiting:duel", "ann") == 7_000_000
