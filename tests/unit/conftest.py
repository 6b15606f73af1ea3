"""What unit tests may use."""

import sys

import pytest
import structlog
from structlog.testing import LogCapture, ReturnLogger
from structlog.typing import EventDict


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> list[EventDict]:
    """Every log line of the service, as it is written, whatever another test did to the configuration."""
    capture = LogCapture()
    logger = structlog.wrap_logger(
        ReturnLogger(), processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    for name, module in list(sys.modules.items()):
        if name.startswith("match_server.") and hasattr(module, "log"):
            monkeypatch.setattr(module, "log", logger)
    return capture.entries
