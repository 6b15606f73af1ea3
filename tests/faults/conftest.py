"""Real processes for each test, so that one fault meets nobody else."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.shared.crowd import MODE
from tests.shared.node import Node, eventually
from tests.shared.prefix import fresh_prefix
from tests.shared.redis_server import RedisServer, Store


class Nodes:
    """Starts nodes that play `duel` on one pool; each must have been a good one when it stops."""

    def __init__(self, folder: Path, redis: Store, prefix: str) -> None:
        self._folder = folder
        self._redis = redis
        self._prefix = prefix
        self._running: list[Node] = []

    def start(self, count: int, *, redis_url: str = "", **settings: Any) -> list[Node]:
        """Start so many at once, on the test's own Redis or at this address."""
        if "config" not in settings:  # whose modes would be hidden
            settings = {"game_modes": f"{MODE}:2"} | settings
        nodes = [Node(self._folder, redis_url or self._redis.url, self._prefix, **settings) for _ in range(count)]
        self._running += nodes
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(_start, nodes))
        return nodes

    def stop(self) -> None:
        """Stop all that run; whatever was done to them, they end well and log no traceback (invariant 13)."""
        ending, self._running = self._running, []
        if ending:
            with ThreadPoolExecutor(len(ending)) as pool:
                list(pool.map(_stop, ending))

    def kill(self) -> None:
        """None outlives its test."""
        for node in self._running:
            node.kill()


def _start(node: Node) -> None:
    node.start()
    eventually(lambda: node.http.get("/readyz").status_code == 200)


def _stop(node: Node) -> None:
    try:
        if node.process.poll() is None:
            node.send_signal(signal.SIGCONT)
            assert node.stop() == 0, node.log
        assert "Traceback" not in node.log, node.log
    finally:
        node.close()
        node.kill()


@pytest.fixture
def keeps_its_data() -> bool:
    """Whether the test's Redis keeps its data over a restart; to be parametrized."""
    return False


@pytest.fixture
def redis(keeps_its_data: bool) -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with RedisServer(keep=keeps_its_data) as server:
        yield server


@pytest.fixture
def nodes(redis: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Nodes]:
    """Nodes of this test's own, stopped and judged at its end."""
    nodes = Nodes(tmp_path, redis, prefix)
    try:
        yield nodes
        nodes.stop()
    finally:
        nodes.kill()


@pytest.fixture(scope="module")
def shared(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for the tests of a module that leave nothing behind."""
    node = Node(tmp_path_factory.mktemp("node"), redis_url, fresh_prefix(), game_modes=f"{MODE}:2")
    try:
        yield node.start()
        _stop(node)
    finally:
        node.kill()
