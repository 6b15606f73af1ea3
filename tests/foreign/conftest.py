"""Clients of other hands. Their packages come from the network, so these tests run only where they are asked for."""

import os
from pathlib import Path

import pytest

SWITCH = "FOREIGN_CLIENTS"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get(SWITCH):
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=f"fetches packages; set {SWITCH}=1"))
