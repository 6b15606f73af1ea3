from collections.abc import Iterator

import pytest

from tests.store.pool import Pool


@pytest.fixture
def pool(redis_url: str, prefix: str) -> Iterator[Pool]:
    """A pool of this test's own, with one node (`n1`) and no dedicated server yet."""
    pool = Pool(redis_url, prefix)
    try:
        yield pool
    finally:
        pool.close()
