from collections.abc import Iterator

import pytest

from tests.shared.node import Node, eventually
from tests.shared.prefix import fresh_prefix


@pytest.fixture(scope="module")
def node(redis_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Node]:
    """One node for the tests of a module, which may name its settings in `SETTINGS`."""
    settings = getattr(request.module, "SETTINGS", {})
    folder = tmp_path_factory.mktemp("node")
    with Node(folder, redis_url, fresh_prefix(), **settings) as node:
        yield node


@pytest.fixture(autouse=True)
def _nobody_of_an_earlier_test(request: pytest.FixtureRequest) -> None:
    """Leaving takes a moment: wait until the players of the test before are out of the shared pool."""
    if "node" in request.fixturenames:
        node: Node = request.getfixturevalue("node")
        eventually(lambda: not node.players_under_way())
