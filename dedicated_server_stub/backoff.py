"""How long to wait between tries."""

import random


class Backoff:
    """Doubles the wait with each try up to a cap, and draws it from the upper half of that.

    The jitter keeps many servers from coming back in the same moment.
    """

    def __init__(self, *, first_seconds: float = 0.1, cap_seconds: float = 2.0) -> None:
        self._first_seconds = first_seconds
        self._cap_seconds = cap_seconds
        self._ceiling = first_seconds
        self._random = random.Random()  # noqa: S311 - jitter, no secret

    def next_seconds(self) -> float:
        """Return the wait before the next try."""
        ceiling = self._ceiling
        self._ceiling = min(2 * ceiling, self._cap_seconds)
        return ceiling * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start over, after a success."""
        self._ceiling = self._first_seconds
