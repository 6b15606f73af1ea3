"""What every test may use: a real Redis of its own, and a pool of its own on it."""

import uuid
from collections.abc import Iterator

import pytest

from tests.redis_process import RedisProcess

# Helpers whose assertions explain themselves. Said here, before any folder's conftest imports one of another folder.
pytest.register_assert_rewrite(
    "tests.docs.markdown",
    "tests.e2e.fake_server",
    "tests.e2e.node",
    "tests.e2e.player",
    "tests.faults.crowd",
    "tests.faults.game_server",
    "tests.faults.outside",
    "tests.faults.redis_server",
    "tests.store.invariants",
    "tests.store.pool",
    "tests.store.raw_pool",
    "tests.store.world",
    "tests.unit.matchmaker_bench",
    "tests.unit.subscriber_world",
    "tests.unit.websocket_link",
)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of one embedded server for the whole run; each test takes a prefix of its own on it."""
    with RedisProcess() as redis:
        yield redis.url


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test uses."""
    return f"{{{uuid.uuid4().hex[:8]}}}:"
