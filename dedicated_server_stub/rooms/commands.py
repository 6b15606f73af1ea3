"""What waits for the next tick of a room: its tick alone changes anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.messages import ClientMessage


@dataclass(frozen=True, slots=True)
class Joined:
    """A player was let in on a new connection."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Lost:
    """A connection has ended; `left`: the player has closed it for good."""

    connection: Connection
    left: bool


@dataclass(frozen=True, slots=True)
class Received:
    """A client has sent a message."""

    connection: Connection
    message: ClientMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Another part of the server calls a method of the room, see `methods`.

    Attributes:
        call_id: the same in every attempt; the room carries a call out once.
        expires_at: a time of `time.time()`; nobody waits for the answer any more, so nothing is done.
        answer: gets the outcome, in each attempt.
    """

    call_id: str
    method: str
    args: Mapping[str, Any]
    expires_at: float
    answer: Callable[["Outcome"], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """A snapshot is stored that has everything up to this revision of the room."""

    revision: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call has come to: a result of plain data, or the reason why it was refused."""

    result: Any = None
    refused: str | None = None


Command: TypeAlias = Joined | Lost | Received | Called | Stored
