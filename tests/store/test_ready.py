import json

import pytest

from match_server.servers.provider import Order
from tests.store.pool import SIZES, Pool


def test_the_last_player_ready_reserves_a_server(pool: Pool) -> None:
    pool.register("s1", capacity=3, batch=True)
    session = pool.loading("ann", "bob", "cid", mode="trio")
    players = tuple(json.loads(pool.hash(f"loading:{session}")["#players"]))
    pool.everything_said()

    for player in players[:2]:
        readied = pool.ready(player)
        assert (readied.code, readied.order, readied.loading_ms) == ("ok", None, None)
    pool.move_clock(2)
    last = pool.ready(players[2])

    assert last.code == "ok"
    assert last.order == Order(
        loading_session_id=session,
        attempt=1,
        game_mode="trio",
        server_id="s1",
        endpoint="http://127.0.0.1:9000",
        host="s1.example:9000",
        batch=True,
        players=players,
    )
    assert last.loading_ms is not None
    assert 2000 <= last.loading_ms < 3000
    assert {pool.record(player)["state"] for player in players} == {"allocating"}
    assert pool.hash(f"loading:{session}")["#state"] == "allocating"
    assert pool.members("sessions:loading:trio") == []
    assert pool.members("sessions:allocating:trio") == [session]
    assert list(pool.hash("reserved:s1")) == [session]
    assert pool.free("s1") == 2
    assert pool.everything_said() == []


def test_a_repeat_before_the_last_changes_nothing(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.ready("ann")

    with pool.nothing_changes():
        assert pool.ready("ann").code == "ok"
    assert pool.ready("bob").order is not None


def test_the_repeat_of_the_last_ready_gives_the_order_again(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    order = pool.allocating("ann", "bob")

    with pool.nothing_changes():
        repeat = pool.ready("bob")
        assert (repeat.code, repeat.order, repeat.loading_ms) == ("ok", order, None)
        assert pool.ready("bob", node="n2").order is None, "another node does not own the allocation"


def test_loading_complete_is_accepted_in_every_later_state(pool: Pool) -> None:
    pool.register("s1")
    order = pool.found("ann", "bob")

    with pool.nothing_changes():
        readied = pool.ready("ann", session=order.loading_session_id)
        assert (readied.code, readied.order) == ("ok", None)


def test_without_a_free_slot_a_ready_match_waits_and_spends_no_attempt(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")
    pool.heartbeat("s1", draining=True)

    pool.ready("ann")
    last = pool.ready("bob")

    assert last.code == "ok"
    assert last.order is None
    assert last.loading_ms is not None, "it is ready all the same"
    assert pool.members("sessions:unplaced:duel") == [session]
    assert "#attempt" not in pool.hash(f"loading:{session}")
    with pool.nothing_changes():
        assert pool.ready("bob").order is None


def test_who_is_not_in_a_session_has_nothing_to_complete(pool: Pool) -> None:
    some_session = "00000000-0000-4000-a000-000000000000"
    with pool.nothing_changes():
        assert pool.ready("ann", session=some_session).code == "not_in_queue"
    pool.enqueue("ann")
    with pool.nothing_changes():
        assert pool.ready("ann", session=some_session).code == "wrong_session_id"


def test_a_cancelled_session_cannot_be_completed(pool: Pool) -> None:
    pool.register("s1")
    cancelled = pool.loading("ann", "bob")
    pool.leave("bob")
    pool.enqueue("cid")
    pool.match()

    with pool.nothing_changes():
        assert pool.ready("ann", session=cancelled).code == "wrong_session_id"
    assert pool.ready("ann").code == "ok"


def test_another_connection_cannot_complete_loading(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")

    with pool.nothing_changes():
        assert pool.ready("ann", connection="thief").code == "not_in_queue"


def test_a_session_is_completed_by_every_player_and_not_by_one_twice(pool: Pool) -> None:
    pool.register("s1")
    session = pool.loading("ann", "bob")

    for _ in range(3):
        assert pool.ready("ann").order is None

    assert pool.hash(f"loading:{session}")["#missing"] == "1"


@pytest.mark.parametrize("mode", SIZES)
def test_every_mode_size_completes_with_its_last_player(pool: Pool, mode: str) -> None:
    pool.register("s1")
    players = [f"p{number}" for number in range(SIZES[mode])]
    pool.loading(*players, mode=mode)

    orders = [pool.ready(player).order for player in players]

    assert orders[:-1] == [None] * (SIZES[mode] - 1)
    assert orders[-1] is not None
    assert sorted(orders[-1].players) == sorted(players)


def test_the_server_with_the_largest_free_share_is_chosen(pool: Pool) -> None:
    pool.register("big", capacity=10, active_sessions=tuple(f"b{n}" for n in range(5)))  # 5 of 10 free
    pool.register("small", capacity=3, active_sessions=("x",))  # 2 of 3 free

    assert pool.allocating("a1", "a2").server_id == "small"  # then 1 of 3 is free
    assert pool.allocating("b1", "b2").server_id == "big"  # then 4 of 10 are free
    assert pool.allocating("c1", "c2").server_id == "big"  # then 3 of 10 are free
    assert pool.allocating("d1", "d2").server_id == "small"


def test_a_server_restricted_to_other_modes_is_not_chosen(pool: Pool) -> None:
    pool.register("trios", capacity=100, game_modes=("trio", "raid"))
    pool.register("duels", capacity=1, game_modes=("duel",))

    assert pool.allocating("ann", "bob").server_id == "duels"
    assert pool.allocating("cid", "dan", "eve", mode="trio").server_id == "trios"
