from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.store.pool")

from tests.store.pool import Pool  # noqa: E402 - its assertions explain themselves once they are rewritten


@pytest.fixture
def pool(redis_url: str, prefix: str) -> Iterator[Pool]:
    """A pool of this test's own, with one node (`n1`) and no dedicated server yet."""
    pool = Pool(redis_url, prefix)
    try:
        yield pool
    finally:
        pool.close()
