"""How simulated players behave, and what should become of them.

| behaviour | what it does | expected fate |
|---|---|---|
| `normal` | loads, says so | matched |
| `slow-loader` | takes four times as long to load, at most 80 % of the time it has | matched |
| `never-loads` | never says that it has loaded | dequeued:loading_timeout |
| `quits-in-queue` | leaves as soon as it is queued, or matched before that has arrived | dequeued:requested |
| `quits-while-loading` | leaves as soon as it is told to load | dequeued:requested |
| `drops-link` | cuts its connection once, queued or loading, and comes back with `resume` | matched |
| `sends-rubbish` | sends frames that are not of the protocol, wants an error for each, then plays on | matched |
| `enqueues-twice` | enqueues again while queued, wants `already_in_queue`, then plays on | matched |
| `wrong-session-id` | says that it loaded another session, wants `wrong_session_id`, then plays on | matched |
| `drops-out` | cuts its connection, gathering, queued or loading, and does not come back | vanished |
| `leaves-party` | leaves its party as soon as it hears of it or is queued with it | dequeued:requested |
| `gathers-late` | joins its party when its mates have given up | dequeued:party_timeout |

A member of a party that does not get its match takes its mates along (`dequeued:party_left`, or `party_timeout`).
Without a party the last two play as `normal` does.

Besides, anyone may be `left_waiting`: queued when nobody is left to be matched with. A behaviour does no I/O: it
answers what the player is told with `Send` and `DropLink`, each due after some seconds; what is not yet due when
the player is told something new is dropped.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, TypeAlias

from match_server.protocol import ClientMessage, Dequeue, ErrorCode
from test_client.distributions import Distribution
from test_client.journey import Journey

SLOW_FACTOR = 4
SLOW_SHARE = 0.8  # of the time until the loading timeout
DROP_WITHIN_SECONDS = 0.3  # of being queued
AWAY_SECONDS = 0.5  # well within any sensible grace time


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message, or a raw frame; `expect` holds the error codes of which one is then the right answer."""

    message: ClientMessage | str | bytes
    after_seconds: float = 0.0
    expect: tuple[ErrorCode, ...] = ()


@dataclass(frozen=True, slots=True)
class DropLink:
    """Cut the connection, and come back after `away_seconds`."""

    after_seconds: float
    away_seconds: float


@dataclass(frozen=True, slots=True)
class Vanish:
    """Cut the connection for good."""

    after_seconds: float


Action: TypeAlias = Send | DropLink | Vanish
Actions: TypeAlias = Sequence[Action]


class Normal:
    """Plays by the rules; the others differ from it in one thing each.

    Args:
        journey: what it has been told so far.
        loading: how long it loads.
        rng: its own chance, so that a run repeats.
    """

    name: ClassVar[str] = "normal"
    fates: ClassVar[frozenset[str]] = frozenset({"matched"})

    def __init__(self, journey: Journey, loading: Distribution, rng: Random) -> None:
        self.journey = journey
        self.loading = loading
        self.rng = rng

    def on_gathering(self) -> Actions:
        """Answer to being told who is there of its party."""
        return ()

    def on_queued(self) -> Actions:
        """Answer to being told that it is queued, or queued again."""
        return ()

    def on_start_loading(self) -> Actions:
        """Answer to a loading session; told again after a resume, it repeats what it has said."""
        if self.journey.loaded:
            return (Send(self.journey.loading_complete()),)
        return (Send(self.journey.loading_complete(), after_seconds=self.loading.sample(self.rng)),)


class SlowLoader(Normal):
    """Loads slowly, but within the time it has."""

    name = "slow-loader"

    def on_start_loading(self) -> Actions:
        """Take several times as long."""
        if self.journey.loaded or self.journey.loading is None:
            return super().on_start_loading()
        seconds = SLOW_FACTOR * self.loading.sample(self.rng)
        if self.journey.loading.timeout_seconds:
            seconds = min(seconds, SLOW_SHARE * self.journey.loading.timeout_seconds)
        return (Send(self.journey.loading_complete(), after_seconds=seconds),)


class NeverLoads(Normal):
    """Holds up its loading session until that times out."""

    name = "never-loads"
    fates = frozenset({"dequeued:loading_timeout"})

    def on_start_loading(self) -> Actions:
        """Do nothing."""
        return ()


class QuitsInQueue(Normal):
    """Changes its mind in the queue."""

    name = "quits-in-queue"
    fates = frozenset({"dequeued:requested"})

    def on_queued(self) -> Actions:
        """Leave."""
        return (Send(Dequeue()),)

    def on_start_loading(self) -> Actions:
        """It was matched first, or its `dequeue` went down with a link: leave the loading session."""
        return (Send(Dequeue()),)


class QuitsWhileLoading(Normal):
    """Changes its mind when the match is there."""

    name = "quits-while-loading"
    fates = frozenset({"dequeued:requested"})

    def on_start_loading(self) -> Actions:
        """Leave."""
        return (Send(Dequeue()),)


class DropsLink(Normal):
    """Loses its connection once, in the queue or while it loads."""

    name = "drops-link"

    def __init__(self, journey: Journey, loading: Distribution, rng: Random) -> None:
        super().__init__(journey, loading, rng)
        self._in_queue = rng.random() < 0.5

    def on_queued(self) -> Actions:
        """Drop in a moment, unless it is matched before."""
        if self.journey.links_lost or not self._in_queue:
            return ()
        return (self._drop(DROP_WITHIN_SECONDS),)

    def on_start_loading(self) -> Actions:
        """Drop while it loads, if it has not dropped yet."""
        if self.journey.links_lost:
            return super().on_start_loading()
        return (self._drop(self.loading.sample(self.rng)),)

    def _drop(self, within_seconds: float) -> DropLink:
        return DropLink(self.rng.uniform(0, within_seconds), away_seconds=self.rng.uniform(0, AWAY_SECONDS))


class SendsRubbish(Normal):
    """Sends frames that are not of the protocol; nobody else should notice."""

    name = "sends-rubbish"
    rubbish: ClassVar[tuple[str | bytes, ...]] = (
        "not JSON {",
        "[]",
        '{"type": "teleport"}',
        '{"type": "loading_complete", "loading_session_id": 7}',
        '{"type": "enqueue", "player_id": "", "game_mode": "no such mode!"}',
        b"\x00\x01\x02",
    )

    def __init__(self, journey: Journey, loading: Distribution, rng: Random) -> None:
        super().__init__(journey, loading, rng)
        self._sent = False

    def on_queued(self) -> Actions:
        """Send the lot, once."""
        if self._sent:
            return ()
        self._sent = True
        return tuple(Send(frame, expect=(ErrorCode.INVALID_MESSAGE,)) for frame in self.rubbish)


class EnqueuesTwice(Normal):
    """Presses the button twice."""

    name = "enqueues-twice"

    def on_queued(self) -> Actions:
        """Enqueue once more."""
        return (Send(self.journey.enqueue(), expect=(ErrorCode.ALREADY_IN_QUEUE,)),)


class WrongSessionId(Normal):
    """Names a session that is not its own."""

    name = "wrong-session-id"

    def on_start_loading(self) -> Actions:
        """Confirm a made-up session, then the right one."""
        made_up = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        wrong = self.journey.loading_complete().model_copy(update={"loading_session_id": made_up})
        # not_in_queue: its session was called off meanwhile, and it waits in the queue again.
        codes = (ErrorCode.WRONG_SESSION_ID, ErrorCode.NOT_IN_QUEUE)
        return (Send(wrong, expect=codes), *super().on_start_loading())


class DropsOut(Normal):
    """Loses its connection, and gives up."""

    name = "drops-out"
    fates = frozenset({"vanished"})

    def on_gathering(self) -> Actions:
        """Vanish in a moment, whatever comes."""
        return (Vanish(self.rng.uniform(0, DROP_WITHIN_SECONDS)),)

    on_queued = on_start_loading = on_gathering


class LeavesParty(QuitsInQueue):
    """Changes its mind about its party."""

    name = "leaves-party"

    def on_gathering(self) -> Actions:
        """Leave."""
        return (Send(Dequeue()),)


class GathersLate(Normal):
    """Finds its party gone. The swarm lets it come late."""

    name = "gathers-late"
    fates = frozenset({"dequeued:party_timeout"})


ONLY_IN_PARTIES = frozenset({LeavesParty.name, GathersLate.name})
BEHAVIOURS: dict[str, type[Normal]] = {
    kind.name: kind
    for kind in (
        Normal,
        SlowLoader,
        NeverLoads,
        QuitsInQueue,
        QuitsWhileLoading,
        DropsLink,
        SendsRubbish,
        EnqueuesTwice,
        WrongSessionId,
        DropsOut,
        LeavesParty,
        GathersLate,
    )
}
