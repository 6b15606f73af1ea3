"""What happened, in order: printed when a seed fails, and hashed to show that it runs the same way twice."""

import hashlib
from collections.abc import Callable
from typing import Any

_COMMENT = "log"


class Trace:
    """Takes note of events. Their text is made only when somebody reads it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._events: list[tuple[float, str, str, tuple[Any, ...]]] = []

    def note(self, who: str, what: str, *details: Any) -> None:
        """Something happened."""
        self._events.append((self._now(), who, what, details))

    def comment(self, what: str, text: str) -> None:
        """Something that explains, and is not part of what happened: whether it is there makes no difference."""
        self._events.append((self._now(), _COMMENT, what, (text,)))

    def lines(self) -> list[str]:
        """One line per event, with the seconds since the first."""
        if not self._events:
            return []
        start = self._events[0][0]
        return [
            f"{when - start:8.4f} {who:<12} {what:<16} {' '.join(_text(detail) for detail in details)}".rstrip()
            for when, who, what, details in self._events
        ]

    def __len__(self) -> int:
        return len(self._events)

    def digest(self) -> str:
        """The same for the same events."""
        events = [event for event in self._events if event[1] != _COMMENT]
        return hashlib.sha256(repr(events).encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple):
        return "[" + " ".join(_text(item) for item in value) + "]"
    return str(value)
