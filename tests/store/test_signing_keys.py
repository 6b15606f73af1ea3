from match_server.signing import new_key
from match_server.store.upkeep import SIGNING_KEY_AHEAD_SECONDS, SIGNING_KEY_OVERLAP_SECONDS
from tests.store.pool import Pool


def signing_keys(pool: Pool, proposed: str, *, rotate: bool = False) -> list[str]:
    return pool.do(pool.upkeep().signing_keys(proposed, rotate=rotate))


def test_the_first_key_that_a_node_proposes_is_the_pools(pool: Pool) -> None:
    first = new_key()
    assert signing_keys(pool, first) == [first]
    assert signing_keys(pool, new_key()) == [first]


def pass_time(pool: Pool, seconds: float) -> None:
    """All keys are older by so much."""
    key = f"{pool.prefix}signing_keys"
    for name in pool.redis("ZRANGE", key, 0, -1):
        pool.redis("ZINCRBY", key, -round(seconds * 1_000_000), name)


def test_a_rotated_key_is_published_before_it_signs_and_the_one_before_stays_for_its_overlap(pool: Pool) -> None:
    first, second, third = new_key(), new_key(), new_key()
    signing_keys(pool, first)
    assert signing_keys(pool, second, rotate=True) == [first, second]
    assert signing_keys(pool, second, rotate=True) == [first, second], "a repeat"
    pass_time(pool, SIGNING_KEY_AHEAD_SECONDS - 60)
    assert signing_keys(pool, new_key()) == [first, second]
    pass_time(pool, 60)
    assert signing_keys(pool, new_key()) == [second, first]

    pass_time(pool, SIGNING_KEY_OVERLAP_SECONDS)
    assert signing_keys(pool, new_key()) == [second], "the newest signs, however old it is"
    assert signing_keys(pool, third, rotate=True) == [second, third]
    pool.redis("ZREM", f"{pool.prefix}signing_keys", second)
    assert signing_keys(pool, new_key()) == [third], "after a theft there is nothing to wait for"


def test_rotated_twice_the_key_that_is_published_longest_signs(pool: Pool) -> None:
    first, second, third = new_key(), new_key(), new_key()
    signing_keys(pool, first)
    signing_keys(pool, second, rotate=True)
    pass_time(pool, SIGNING_KEY_AHEAD_SECONDS / 2)
    assert signing_keys(pool, third, rotate=True) == [first, third, second]
    pass_time(pool, SIGNING_KEY_AHEAD_SECONDS / 2)
    assert signing_keys(pool, third) == [second, third, first]
