from collections.abc import Iterator

import pytest

from tests.store.pool import Pool
from tests.store.ranked_pool import RankedPool


@pytest.fixture
def pool(redis_url: str, prefix: str) -> Iterator[Pool]:
    """A pool of this test's own, with one node (`n1`) and no dedicated server yet."""
    pool = Pool(redis_url, prefix)
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture
def ranked(redis_url: str, prefix: str) -> Iterator[RankedPool]:
    """The same with a mode whose matches are formed by rules, and room for ten matches."""
    pool = RankedPool(redis_url, prefix)
    try:
        pool.register("s1", capacity=10)
        yield pool
    finally:
        pool.close()
