"""Messages that must arrive: kept per player until it has acknowledged them, and sent again until then."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from dedicated_server_stub.rooms.messages import Acknowledgeable

PER_TICK = 16  # sent again at most: many may have piled up while a player was away
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 4.0


@dataclass(slots=True)
class _Open:
    message: Acknowledgeable
    attempts: int
    next_at: float


class Acknowledged:
    """The open messages of one player, oldest first.

    Args:
        attempts: how often one is sent before it has failed for good.
    """

    def __init__(self, *, attempts: int) -> None:
        self._attempts = attempts
        self._open: dict[int, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, message: Acknowledgeable, now: float) -> None:
        """Keep a message that is sent now for the first time."""
        self._open[message.id] = _Open(message, 1, now + FIRST_RETRY_SECONDS)

    def acknowledge(self, message_id: int) -> None:
        """It has arrived; without effect when that was known."""
        self._open.pop(message_id, None)

    def open(self) -> list[Acknowledgeable]:
        """The open messages."""
        return [entry.message for entry in self._open.values()]

    def start_anew(self, now: float) -> None:
        """A player comes back: all that is open is due, as if it had not been sent yet."""
        for entry in self._open.values():
            entry.attempts, entry.next_at = 0, now

    def due(self, now: float) -> Iterator[Acknowledgeable]:
        """The messages to send in this tick, the oldest of those that are due; each later than the time before."""
        due = (entry for entry in self._open.values() if entry.next_at <= now and entry.attempts < self._attempts)
        for entry in islice(due, PER_TICK):
            entry.next_at = now + min(FIRST_RETRY_SECONDS * 2**entry.attempts, LONGEST_RETRY_SECONDS)
            entry.attempts += 1
            yield entry.message

    def failed(self, now: float) -> bool:
        """Whether a message was sent for the last time, and nobody has answered."""
        return any(entry.attempts >= self._attempts and entry.next_at <= now for entry in self._open.values())
