"""`GET /openapi.json` describes the HTTP calls as they are: held against the routes, and tried on a real node.

The platform's own is tried in tests/platform/test_process.py.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from match_server.platform.api import HistoryEndpoints
from match_server.platform.live import LiveEndpoints
from match_server.web.changes import ChangeEndpoints
from match_server.web.dashboard import FILES, Dashboard
from match_server.web.health import HealthEndpoints
from match_server.web.listings import ListingEndpoints
from match_server.web.openapi import OPERATIONS, PLATFORM_OPERATIONS, Operation, document, platform_document
from match_server.web.operators import OperatorEndpoints
from match_server.web.servers import ServerEndpoints
from match_server.web.well_known import WellKnownEndpoints
from tests.shared.node import Node
from tests.shared.openapi import schemathesis

OF_NODES = (
    ChangeEndpoints,
    Dashboard,
    ListingEndpoints,
    OperatorEndpoints,
    ServerEndpoints,
    WellKnownEndpoints,
)
OF_PLATFORM = (HistoryEndpoints, LiveEndpoints)


def routes(endpoints: Iterable[type[object]]) -> Iterable[Route]:
    """Every route but the players' socket and the dashboard's files. What the endpoints work on is not looked at."""
    for kind in endpoints:
        yield from (route for route in cast("Any", kind).routes(object.__new__(kind)) if route.path not in FILES)
    yield from HealthEndpoints.admin_routes(object.__new__(HealthEndpoints))


def test_it_is_a_document_of_openapi() -> None:
    validate(document())
    validate(platform_document())


@pytest.mark.parametrize(
    ("operations", "endpoints"), [(OPERATIONS, OF_NODES), (PLATFORM_OPERATIONS, OF_PLATFORM)], ids=["nodes", "platform"]
)
def test_it_names_every_route_and_no_other(operations: Iterable[Operation], endpoints: Iterable[type[object]]) -> None:
    there = {
        (method.lower(), route.path) for route in routes(endpoints) for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(operation.method, operation.path) for operation in operations} == there


def test_a_nodes_document_has_the_calls_of_the_platform_and_where_they_are() -> None:
    paths = document()["paths"]
    assert {operation.path for operation in (*OPERATIONS, *PLATFORM_OPERATIONS)} == paths.keys()
    assert paths["/matches"]["servers"][0]["url"] == "http://127.0.0.1:8090"
    assert "servers" not in paths["/servers"]


def test_a_node_publishes_it_and_needs_no_key_for_it(node: Node) -> None:
    assert node.get("/openapi.json") == json.loads(json.dumps(document()))


@pytest.mark.timeout(180)
def test_nothing_that_a_machine_makes_of_it_finds_the_node_different(node: Node, tmp_path: Path) -> None:
    """But for `GET /dashboard/live`, which does not end."""
    ours = ("--include-tag", "node", "--include-tag", "dashboard", "--exclude-path", "/dashboard/live")
    ended = schemathesis(f"{node.base}/openapi.json", *ours, folder=tmp_path)
    assert ended.returncode == 0, ended.stdout


def test_a_wrong_method_is_told_all_that_the_path_takes(node: Node) -> None:
    refused = node.http.patch("/servers")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert node.http.patch("/servers/x").headers["allow"] == "DELETE, GET, HEAD"
