"""What every test may use: a real Redis of its own, and a pool of its own on it."""

import signal
from collections.abc import Iterator

import pytest

from tests.shared.prefix import fresh_prefix
from tests.shared.redis_server import RedisServer

# Helpers whose assertions explain themselves. Said here, before any folder's conftest imports one of another folder.
pytest.register_assert_rewrite(
    "tests.docs.markdown",
    "tests.shared.fake_server",
    "tests.shared.node",
    "tests.shared.player",
    "tests.shared.crowd",
    "tests.shared.game_server",
    "tests.faults.outside",
    "tests.store.pool",
    "tests.store.raw_pool",
    "tests.store.world",
    "tests.unit.matchmaker_bench",
    "tests.unit.subscriber_world",
    "tests.unit.websocket_link",
)

# A shell that starts the tests in the background has them ignore Ctrl-C. The processes that tests start would
# inherit that, and the tests that interrupt one would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of one embedded server for the whole run; each test takes a prefix of its own on it."""
    with RedisServer() as redis:
        yield redis.url


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test uses."""
    return fresh_prefix()
