from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logs_unconfigured() -> Iterator[None]:
    """Keep what another test did to the logs out of these: its captured stderr is closed by now."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
