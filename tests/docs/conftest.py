from collections.abc import Iterator

import pytest

from tests.shared.node import Node, Process
from tests.shared.prefix import fresh_prefix


@pytest.fixture(scope="module")
def node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with one dedicated server, as `match-server dev` starts them."""
    folder = tmp_path_factory.mktemp("node")
    with (
        Node(folder, redis_url, fresh_prefix()) as node,
        Process(folder, "dedicated_server_stub", "--match-server", node.base, "--drain-seconds", "0") as server,
    ):
        server.wait_for_output("ready")
        yield node
        server.stop()
