"""What the allocator needs of dedicated servers. Another way to provision sessions implements this."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from match_server.store.journey import Order


@dataclass(frozen=True, slots=True)
class Created:
    """The server made the session, or had made it before for the same key."""

    session_id: str
    server_address: str


@dataclass(frozen=True, slots=True)
class NotCreated:
    """The server did not.

    `full`: it has no room, or drains. `error`: it refused for another reason. `unknown`: no answer that can be read
    arrived in time, so it may have made the session.
    """

    outcome: Literal["full", "error", "unknown"]
    detail: str


Provisioned: TypeAlias = Created | NotCreated


class DedicatedServerProvider(Protocol):
    """Makes sessions on dedicated servers."""

    async def create(self, orders: Sequence[Order]) -> list[Provisioned]:
        """Ask one server for sessions; all orders are for the same server, more than one only if it takes batches.

        Returns, per order, what became of it. Raises nothing for what a server may do.
        """

    async def aclose(self) -> None:
        """Close every connection."""
