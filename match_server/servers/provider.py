"""What is needed of dedicated servers, and of fleets of them. Another way to provision sessions implements this."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from pydantic_core import from_json

FLEET_SCHEME = "agones:"  # of the endpoint of a fleet; that of a server which registered is http: or https:
FLEET_ID_PREFIX = "agones-"  # of the id of a fleet among the dedicated servers
CALLS_TO_A_FLEET = 64
_BATCHES_AT_ONCE = 2
_SINGLES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Order:
    """What it takes to ask a dedicated server for a session."""

    loading_session_id: str
    attempt: int
    game_mode: str
    server_id: str
    endpoint: str  # base URL with the address that was checked at registration
    host: str  # the name in the server's own control_url, for the Host header and TLS
    batch: bool
    players: tuple[str, ...]
    settled: Mapping[str, Any] = field(default_factory=dict)  # what rules have settled: teams, region, attributes, …

    @property
    def control_url(self) -> str:
        """What the server registered, for the log; empty when it is no longer registered."""
        return urlsplit(self.endpoint)._replace(netloc=self.host).geturl() if self.endpoint else ""

    @property
    def calls_at_once(self) -> int:
        """How many calls to its server may be under way: a fleet is many servers."""
        if self.endpoint.startswith(FLEET_SCHEME):
            return CALLS_TO_A_FLEET
        return _BATCHES_AT_ONCE if self.batch else _SINGLES_AT_ONCE

    @classmethod
    def parse(cls, text: str) -> "Order":
        """Read an order as the scripts write it; an unknown server leaves its fields empty."""
        text, _, settled = text.partition("\t")
        session, attempt, mode, server, endpoint, host, batch, *players = text.split(" ")
        return cls(
            loading_session_id=session,
            attempt=int(attempt),
            game_mode=mode,
            server_id=server,
            endpoint=endpoint,
            host=host,
            batch=batch == "1",
            players=tuple(players),
            settled=from_json(settled) if settled else {},
        )


@dataclass(frozen=True, slots=True)
class Created:
    """The server made the session, or had made it before for the same key."""

    session_id: str
    server_address: str | None  # None: the address that the server registered


@dataclass(frozen=True, slots=True)
class NotCreated:
    """The server did not.

    `full`: it has no room, or drains. `wrong`: it refuses this match, not others. `error`: it failed. `unknown`: no
    answer arrived in time, so it may have made the session. `unreadable`: neither does its answer say so in the
    contract's form.
    """

    outcome: Literal["full", "wrong", "error", "unknown", "unreadable"]
    detail: str  # for the log, in words


Provisioned: TypeAlias = Created | NotCreated


class DedicatedServerProvider(Protocol):
    """Makes sessions on dedicated servers."""

    async def create(self, orders: Sequence[Order]) -> list[Provisioned]:
        """Ask one server for sessions; all orders are for the same server, more than one only if it takes batches.

        Returns, per order, what became of it. Raises nothing for what a server may do.
        """

    async def aclose(self) -> None:
        """Close every connection."""


class FleetUnavailable(Exception):
    """Whoever manages the fleet gave no answer that can be read; the text says why."""


class Holder(Protocol):
    """A game server that holds a session, as it was when its fleet was looked at."""

    @property
    def name(self) -> str:
        """What its fleet calls it."""

    @property
    def address(self) -> str | None:
        """Where players connect: `host:port`."""


@dataclass(frozen=True, slots=True)
class FleetLook:
    """A fleet at one moment."""

    free: int  # sessions that it can still take
    holders: Mapping[str, Sequence[Holder]]  # by session, of those that this match server has allocated


class Fleet(Protocol):
    """Game servers that something else starts and ends. To the registry they are one dedicated server."""

    @property
    def server_id(self) -> str:
        """Its id in the registry."""

    @property
    def url(self) -> str:
        """What stands in the place of a `control_url`."""

    @property
    def game_modes(self) -> tuple[str, ...]:
        """The game modes that it takes; empty: all."""

    @property
    def region(self) -> str:
        """Its region; may be empty."""

    @property
    def max_session_seconds(self) -> float | None:
        """After which time a session counts as over."""

    async def look(self) -> FleetLook:
        """What it runs, and what it has room for.

        Raises:
            FleetUnavailable: no answer.
        """

    async def free(self, holder: Holder, session_ids: Collection[str]) -> bool:
        """Take sessions off a game server, unless that has changed since the look. Returns whether this did it.

        Raises:
            FleetUnavailable: no answer; may be repeated.
        """
