"""Programs that some tests need, and that not every machine has."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip a test for want of a program; CI has to have it. `what` says how to install it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
