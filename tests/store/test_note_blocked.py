from tests.store.pool import SECOND_US, Pool

PERIOD_US = 60 * SECOND_US


def left_us(pool: Pool, mode: str = "duel") -> int:
    return pool.do(pool.operators.note_blocked(mode, period_us=PERIOD_US))


def test_one_node_says_it_in_each_period(pool: Pool) -> None:
    assert left_us(pool) == 0
    assert 0 < left_us(pool) <= PERIOD_US, "another node, or the same once more"
    assert left_us(pool, "trio") == 0
    pool.move_clock(60)
    assert left_us(pool) == 0


def test_it_is_said_when_the_clock_has_gone_back(pool: Pool) -> None:
    assert left_us(pool) == 0
    pool.move_clock(-3600)
    assert left_us(pool) == 0
