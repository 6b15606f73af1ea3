"""A log that a flood does not fill: one line a second of each kind, and how many more there were."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.get_logger(__name__)

_SECONDS = 1.0


@dataclass(slots=True)
class _Held:
    """What came of one kind since its last line."""

    count: int = 0
    fields: dict[str, Any] = field(default_factory=dict)


class ThrottledLog:
    """Lines on things that anybody may bring about as often as they like. Runs in the event loop's thread."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, object], _Held] = {}

    def info(self, event: str, kind: object, /, **fields: Any) -> None:
        """As `warning`, one level below."""
        self._take(log.info, (event, kind), fields)

    def warning(self, event: str, kind: object, /, **fields: Any) -> None:
        """Log a line now, or within a second where this kind of the event had one.

        `kind` is one of few: each has an entry here, and one level. A line that stands for others has their number as
        `more`, and the fields of the last one.
        """
        self._take(log.warning, (event, kind), fields)

    def _take(self, write: Callable[..., None], key: tuple[str, object], fields: dict[str, Any]) -> None:
        held = self._held.get(key)
        if held is None:
            write(key[0], **fields)
            self._hold(key, write)
        else:
            held.count, held.fields = held.count + 1, fields

    def _hold(self, key: tuple[str, object], write: Callable[..., None]) -> None:
        self._held[key] = _Held()
        asyncio.get_running_loop().call_later(_SECONDS, self._release, key, write)

    def _release(self, key: tuple[str, object], write: Callable[..., None]) -> None:
        held = self._held.pop(key)
        if held.count:
            write(key[0], **held.fields, more=held.count - 1)
            self._hold(key, write)
