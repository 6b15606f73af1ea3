"""What rooms need to reach across processes. Three implementations keep it, behind one suite of tests.

`memory` is for one process, `redis_presence` for any number; with `link_presence` a worker has its parent's on loan.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

Handler: TypeAlias = Callable[[str], None]


class PresenceUnavailable(Exception):
    """The presence did not do it, as far as can be known: it is out of reach, or refuses. The text says why."""


class Write(NamedTuple):
    """A value to write, and for how long it is kept."""

    key: str
    value: str
    seconds: float


class Presence(Protocol):
    """Channels, keys with an expiry, hashes and leases. Everything is text.

    Every coroutine may raise PresenceUnavailable, within a few seconds.
    """

    async def run(self) -> None:
        """Deliver what is published, until cancelled. It outlives outages; what is published meanwhile is lost."""

    def subscribe(self, channel: str, handler: Handler) -> None:
        """Call `handler` with each message of a channel, on the event loop: soon, and again after an outage."""

    def unsubscribe(self, channel: str) -> None:
        """Call the handler no more."""

    async def publish(self, channel: str, message: str) -> None:
        """Send a message to all who have subscribed, once at most."""

    async def set(self, key: str, value: str, *, seconds: float) -> None:
        """Write a key, which is forgotten after that time."""

    async def get(self, key: str) -> str | None:
        """Read a key; None when there is none, or its time is over."""

    async def hash_set(self, key: str, field: str, value: str) -> None:
        """Write a field of a hash."""

    async def hash_get_all(self, key: str) -> dict[str, str]:
        """Read a hash; empty when there is none."""

    async def hash_delete(self, key: str, field: str) -> None:
        """Delete a field of a hash."""

    async def hold(self, lease: str, owner: str, *, seconds: float, write: Write | None = None) -> bool:
        """Take a lease for that time, or renew it, and write a value in the same step.

        Returns:
            False when another owner has the lease; nothing is written then.
        """
