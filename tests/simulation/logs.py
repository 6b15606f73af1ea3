"""The service's log, while it is simulated: an error in it is a bug, and the rest explains a trace."""

import logging
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

from tests.simulation.trace import Trace

DYING: ContextVar[Callable[[], bool]] = ContextVar("dying")  # whether what runs is a killed node's last breath


def _nothing_dies() -> bool:
    return False


def listen_to_logs(trace: Trace, on_violation: Callable[[str], None], *, everything: bool) -> None:
    """From now on errors are violations; with `everything`, lesser events go into the trace."""

    def note(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        text = " ".join(f"{name}={value!r}" for name, value in event.items())
        if DYING.get(_nothing_dies)():
            trace.comment("while dying", text)
        elif method in {"error", "critical", "exception"}:
            on_violation(f"logged as an error: {text}")
        else:
            trace.comment(method, text)
        raise structlog.DropEvent

    level = logging.DEBUG if everything else logging.ERROR
    structlog.configure(processors=[note], wrapper_class=structlog.make_filtering_bound_logger(level))
