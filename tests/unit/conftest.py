"""What unit tests may use."""

import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="module")
def certificates_read_once() -> Iterator[None]:
    """For calls of the HTTP provider: reading them takes 20 ms, and none of these calls uses TLS."""
    certificates = ssl.create_default_context()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", lambda: certificates)
        yield


@pytest.fixture
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For settings: no MATCH_ variables, and no `.env` but the test's own."""
    for name in list(os.environ):
        if name.startswith("MATCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
