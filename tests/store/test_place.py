from match_server.servers.provider import Order
from match_server.store.tickets import Proposal
from tests.store.pool import LEASE_SECONDS, RANKED, SECOND_US, WAIT_SECONDS, Pool
from tests.store.ranked_pool import RULES, RankedPool


def waiting_without_a_server(pool: Pool, *matches: tuple[str, str]) -> list[str]:
    """Matches of two that are ready, a second apart, while no slot is left."""
    pool.register("first", capacity=len(matches))
    sessions = [pool.loading(*players) for players in matches]
    pool.do(pool.registry.remove("first"))
    for players in matches:
        for player in players:
            assert pool.ready(player).order is None
        pool.move_clock(1)
    return sessions


def test_a_slot_that_becomes_free_goes_to_the_longest_wait(pool: Pool) -> None:
    first, second = waiting_without_a_server(pool, ("ann", "bob"), ("cid", "dan"))
    assert pool.queue().unplaced_sessions == 2
    pool.register("s1")

    (order,) = pool.place()

    assert (order.loading_session_id, order.attempt, order.server_id) == (first, 1, "s1")
    assert pool.members("sessions:unplaced:duel") == [second]
    fields = pool.hash(f"loading:{first}")
    assert (fields["#server"], fields["#node"], fields["#attempt"]) == ("s1", "n1", "1")
    lease, placed = pool.score("sessions:allocating:duel", first), int(pool.hash("reserved:s1")[first])
    assert lease == placed + LEASE_SECONDS * SECOND_US


def test_without_a_slot_nothing_changes(pool: Pool) -> None:
    waiting_without_a_server(pool, ("ann", "bob"))

    with pool.nothing_changes():
        assert pool.place() == []


def test_the_repeat_gives_nobody_a_second_slot(pool: Pool) -> None:
    waiting_without_a_server(pool, ("ann", "bob"))
    pool.register("s1", capacity=5)
    pool.place()

    with pool.nothing_changes():
        assert pool.place() == []


def test_one_call_is_bounded_by_its_limit(pool: Pool) -> None:
    waiting_without_a_server(pool, ("ann", "bob"), ("cid", "dan"), ("eve", "fay"))
    pool.register("s1", capacity=5)

    call = ("place", "duel", "n1", LEASE_SECONDS * SECOND_US, WAIT_SECONDS * SECOND_US, "spread", 2)

    assert [len(pool.run(*call)) for _ in range(3)] == [2, 1, 0]


def test_a_slot_that_does_not_take_the_mode_stays_free(pool: Pool) -> None:
    waiting_without_a_server(pool, ("ann", "bob"))
    pool.register("trios", game_modes=("trio",))

    assert pool.place() == []
    assert pool.free("trios") == 1


def test_the_last_ready_player_may_ask_again_for_an_order_that_place_gave(pool: Pool) -> None:
    waiting_without_a_server(pool, ("ann", "bob"))
    pool.register("s1")
    (order,) = pool.place()

    assert pool.ready("bob").order == order


def test_waiting_has_a_deadline_which_a_second_wait_does_not_prolong(pool: Pool) -> None:
    (session,) = waiting_without_a_server(pool, ("ann", "bob"))
    deadline = pool.score("sessions:unplaced:duel", session)
    pool.register("s1")
    (order,) = pool.place()
    pool.move_clock(3)

    assert pool.fail(order, "full") == ("waiting", None)

    assert pool.score("sessions:unplaced:duel", session) == deadline


def test_an_entry_without_a_session_does_not_stop_the_others(pool: Pool) -> None:
    (session,) = waiting_without_a_server(pool, ("ann", "bob"))
    pool.redis("ZADD", f"{pool.prefix}sessions:unplaced:duel", 1, "ghost")
    pool.register("s1")

    assert [order.loading_session_id for order in pool.place()] == [session]
    assert "sessions:unplaced:duel" not in pool.key_names()


def test_a_session_that_cannot_be_placed_keeps_no_other_waiting(pool: Pool) -> None:
    first, broken, third = waiting_without_a_server(pool, ("ann", "bob"), ("cid", "dan"), ("eve", "fay"))
    pool.redis("HDEL", f"{pool.prefix}loading:{broken}", "#players")
    pool.register("s1", capacity=5)

    orders = pool.place()

    assert [order.loading_session_id for order in orders] == [first, third]
    assert pool.hash("reserved:s1").keys() == {first, third}
    assert pool.free("s1") == 3
    assert pool.members("sessions:unplaced:duel") == [broken]
    with pool.nothing_changes():
        assert pool.place() == []


def test_a_match_whose_region_is_full_keeps_no_other_waiting(ranked: RankedPool) -> None:
    for region in ("us", "eu"):
        ranked.register(f"first-{region}", capacity=3, region=region)
    for number, region in enumerate(("us", "us", "us", "eu")):
        proposal = Proposal(tuple(ranked.alone(f"a{number}", f"b{number}")), {}, region)
        ranked.do(ranked.tickets.form(RANKED, [proposal], rules_version=RULES, loading_timeout_us=60 * SECOND_US))
        ranked.move_clock(1)
    for server_id in ranked.servers():
        ranked.do(ranked.registry.remove(server_id))
    for number in range(4):
        for player in (f"a{number}", f"b{number}"):
            assert ranked.ready(player).order is None
    ranked.register("s1", capacity=5, region="eu")

    call = ("place", RANKED, "n1", LEASE_SECONDS * SECOND_US, WAIT_SECONDS * SECOND_US, "spread", 2)
    (order,) = ranked.run(*call)

    assert Order.parse(order.decode()).players == ("a3", "b3")
