"""What a simulated player has been told last, and what its client is to do next."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class State(StrEnum):
    """What the service has told this player last."""

    IDLE = "idle"  # nothing yet, for this enqueue
    GATHERING = "gathering"  # its party is not complete yet
    QUEUED = "queued"
    LOADING = "loading"  # until the match is found or cancelled; also once it has loaded
    CANCELLED = "cancelled"  # its match was called off; a `queued` is due
    MATCHED = "matched"
    LEFT = "left"  # told that it is in no queue any more
    REFUSED = "refused"  # told that it cannot join


class Step(Enum):
    """What the client should do after a frame."""

    WAIT = auto()  # nothing
    GATHER = auto()  # its party has another member; what it was doing is void
    QUEUED = auto()  # it is in the queue (again); what it was doing is void
    LOAD = auto()  # load `Journey.loading`, then send `loading_complete`; what it was doing is void
    STOP_LOADING = auto()  # that session is over; a `queued` follows
    PLAY = auto()  # connect to `Journey.match.server_address`
    RETRY = auto()  # send `Journey.again()` after `Journey.retry_after_seconds`
    END = auto()  # the journey is over; `Journey.end` says how


@dataclass(slots=True)
class Times:
    """When things first happened, on the journey's clock, in seconds; None is never."""

    enqueued: float | None = None
    queued: float | None = None
    start_loading: float | None = None
    match_found: float | None = None
