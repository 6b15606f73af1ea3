import pytest

from tests.client.told import Told


@pytest.fixture
def told() -> Told:
    """A journey that has enqueued."""
    return Told()
