from tests.store.pool import Pool

PERIOD_US = 100_000


def due(pool: Pool, **not_formed: bool) -> list[str]:
    return sorted(pool.do(pool.upkeep().due_modes(period_us=PERIOD_US, not_formed=not_formed)))


def test_a_mode_that_nobody_waits_in_is_not_looked_at(pool: Pool) -> None:
    assert due(pool) == []


def test_a_mode_is_due_while_somebody_waits(pool: Pool) -> None:
    pool.enqueue("ann", "bob")
    assert due(pool) == ["duel"]
    pool.move_clock(0.1)
    assert due(pool) == ["duel"]

    pool.register("s1")
    assert pool.match().formed == 1
    pool.move_clock(0.1)

    assert due(pool) == []
    assert pool.members("modes:waiting") == [], "forgotten, until somebody waits again"


def test_one_node_is_given_a_mode_in_each_period(pool: Pool) -> None:
    pool.enqueue("ann")
    assert due(pool) == ["duel"]
    assert due(pool) == [], "another node, or the same once more"
    pool.move_clock(0.1)
    assert due(pool) == ["duel"]


def test_a_mode_is_looked_at_again_when_the_clock_has_gone_back(pool: Pool) -> None:
    pool.enqueue("ann")
    assert due(pool) == ["duel"]
    pool.move_clock(-3600)
    assert due(pool) == ["duel"]


def test_a_player_that_is_put_back_in_front_makes_its_mode_due(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    assert due(pool) == []
    pool.leave("ann")
    pool.move_clock(0.1)
    assert due(pool) == ["duel"]


def test_a_ready_match_without_a_slot_makes_its_mode_due(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.heartbeat("s1", draining=True)
    pool.ready("ann")
    pool.ready("bob")

    assert due(pool) == ["duel"]


def test_a_held_player_is_out_of_reach_and_its_mode_is_not_due(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.hold("ann")
    assert due(pool) == []


def test_a_mode_that_a_node_does_not_form_is_left_to_other_nodes(pool: Pool) -> None:
    pool.enqueue("ann", "bob")
    assert due(pool, duel=True) == due(pool, duel=False) == []
    assert due(pool, trio=True) == ["duel"]


def test_a_ready_match_without_a_slot_is_placed_by_a_node_that_forms_none_of_its_mode(pool: Pool) -> None:
    pool.register("s1")
    pool.loading("ann", "bob")
    pool.heartbeat("s1", draining=True)
    pool.ready("ann")
    pool.ready("bob")

    assert due(pool, duel=False) == [], "this node does not know the mode"
    assert due(pool, duel=True) == ["duel"]
