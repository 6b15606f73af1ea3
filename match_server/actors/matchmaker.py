"""The matchmaker: one per game mode. Gathers what sessions ask, and runs it as one script call of each kind.

Whatever waits in the mailbox goes to Redis in one round trip, with a TryMatch behind it; the next batch gathers
meanwhile. A TryMatch forms as many matches as one call may; while it could form more, the matchmaker calls again.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import TypeAlias

import structlog

from match_server.actors.allocator import AllocatorMessage, Provision
from match_server.actors.core import Actor, Ref
from match_server.actors.request import Request
from match_server.errors import ActorStopped, MailboxFull, StoreUnavailable
from match_server.events.node import Events, MatchesFormed, MatchLoaded, RulesRefused, SlotLacking
from match_server.matching.game_modes import GameModes
from match_server.servers.provider import Order
from match_server.store.journey import (
    Answer,
    CatchUp,
    Enqueue,
    Failure,
    Hold,
    JourneyStore,
    Leave,
    Matched,
    Readied,
    Ready,
    Reassert,
    Resume,
    Step,
    StepResult,
)
from match_server.store.scripts import ItemFailed

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 50_000  # a request or two of every connection a node may hold
_TRIES_FOR_MORE = 8  # in one round trip, when one has left matches to be formed


class InternalError(Exception):
    """A bug met while this one request was carried out; `error_id` stands in the log too."""

    def __init__(self, error_id: str) -> None:
        super().__init__(error_id)
        self.error_id = error_id


class JourneyRequest(Request[Answer]):
    """One player's step. The answer's code is a script's; see the header of the script of that name."""

    __slots__ = ("item",)

    def __init__(self, item: "Enqueue | Ready | Leave | Hold | Resume | CatchUp | Reassert") -> None:
        super().__init__(upkeep=isinstance(item, CatchUp | Reassert))
        self.item = item


class Tick:
    """Try to form matches, and to place ready ones (actors/ticker.py)."""

    __slots__ = ()


MatchmakerMessage: TypeAlias = JourneyRequest | Tick
TICK = Tick()


class Matchmaker(Actor[MatchmakerMessage]):
    """Drains its mailbox into `Step`s. Holds nothing that a fresh instance could not do without."""

    def __init__(
        self,
        *,
        game_mode: str,
        modes: GameModes,
        store: JourneyStore,
        allocator: Ref[AllocatorMessage],
        match_on_enqueue: bool,
        changed: Callable[[], None],
        events: Events,
    ) -> None:
        """`changed`: players may have come or gone, which a proposer wants to know, if the mode has one."""
        self._game_mode = game_mode
        self._modes = modes
        self._store = store
        self._allocator = allocator
        self._match_on_enqueue = match_on_enqueue
        self._changed = changed
        self._events = events
        self._more = False  # the last TryMatch left a match to be formed
        self._unplaced = 0  # ready matches of this mode that wait for a slot, as the last TryMatch saw it

    async def receive(self, batch: Sequence[MatchmakerMessage]) -> None:
        """One round trip for the whole batch. A Redis out of reach is the answer to every request in it."""
        mode = self._modes[self._game_mode]
        deadlines = self._modes.deadlines(mode.name)
        step, requests = Step(closed=self._modes.is_closed(mode.name)), _Requests()
        step.loading_timeout_us = int(deadlines.loading_timeout * 1_000_000)
        step.wait_us = int(deadlines.allocation_wait * 1_000_000)
        ticked = False
        for message in batch:
            if isinstance(message, Tick):
                ticked = True
            elif message.open:
                requests.sort(message, step)
        step.rules_version = mode.rules_version
        step.match = 0 if mode.by_rules or step.closed else self._tries(step, ticked=ticked)
        step.place = ticked and (self._unplaced > 0 or mode.by_rules or step.closed)
        if not (step.match or step.place or requests.any):
            return
        try:
            result = await self._store.step(mode.name, mode.players, step)
        except StoreUnavailable as error:
            requests.fail(error)
            return
        requests.answer(result)
        if self._match_on_enqueue and _may_fill(step):
            self._changed()
        self._allocate(result)
        if step.match:
            self._after_match(result.matched)
        elif step.place:
            self._unplaced = len(result.placed)  # while some find a slot, more may

    def _tries(self, step: Step, *, ticked: bool) -> int:
        """How many calls of try_match go with a step of a random mode."""
        if not (ticked or (self._match_on_enqueue and _may_fill(step))):
            return 0
        return _TRIES_FOR_MORE if self._more else 1

    def _allocate(self, result: StepResult) -> None:
        for readied in result.readies:
            if not isinstance(readied, Readied):
                continue
            if readied.loading_ms is not None:
                self._events.record(MatchLoaded(self._game_mode, readied.loading_ms / 1000))
                self._unplaced += readied.order is None
            if readied.order:
                self._provision(readied.order)
        for order in result.placed:
            self._provision(order)

    def _provision(self, order: Order) -> None:
        try:
            self._allocator.tell(Provision(order))
        except (MailboxFull, ActorStopped):
            # Nothing is lost: the allocation's lease runs out, and a janitor gives it to whoever has room.
            log.warning("allocation_left_to_its_lease", loading_session_id=order.loading_session_id)

    def _after_match(self, matched: Matched) -> None:
        self._unplaced, self._more = matched.unplaced, matched.more
        if matched.rules_differ:
            self._events.record(RulesRefused(self._game_mode))
        if matched.formed:
            self._events.record(MatchesFormed(self._game_mode, matched.formed, matched.waits_us))
        if matched.lacks_slot:
            self._events.record(SlotLacking(self._game_mode))
        if matched.more:
            try:
                self.ref.tell(TICK)
            except (MailboxFull, ActorStopped):
                log.debug("tick_left_out", game_mode=self._game_mode)  # the next one comes soon enough


def _may_fill(step: Step) -> bool:
    """Anything that may have put players into the queue may have filled a match."""
    return bool(step.enqueues or step.resumes or step.leaves or step.reasserts)


class _Requests:
    """The requests of one batch, by kind, in the order of the step's items."""

    def __init__(self) -> None:
        self._by_kind: dict[type, list[JourneyRequest]] = {}

    @property
    def any(self) -> bool:
        return bool(self._by_kind)

    def sort(self, request: JourneyRequest, step: Step) -> None:
        item = request.item
        self._by_kind.setdefault(type(item), []).append(request)
        match item:
            case Enqueue():
                step.enqueues.append(item)
            case Ready():
                step.readies.append(item)
            case Leave():
                step.leaves.append(item)
            case Hold():
                step.holds.append(item)
            case Resume():
                step.resumes.append(item)
            case CatchUp():
                step.catch_ups.append(item)
            case Reassert():
                step.reasserts.append(item)

    def fail(self, error: StoreUnavailable) -> None:
        for requests in self._by_kind.values():
            for request in requests:
                request.fail(error)

    def answer(self, result: StepResult) -> None:
        self._answer(Enqueue, result.enqueues)
        self._answer(Ready, result.readies)
        self._answer(Leave, result.leaves)
        self._answer(Hold, result.holds)
        self._answer(Resume, result.resumes)
        self._answer(CatchUp, result.catch_ups)
        self._answer(Reassert, result.reasserts)

    def _answer(self, kind: type, answers: "Sequence[Answer | Readied | Failure]") -> None:
        for request, answer in zip(self._by_kind.get(kind, ()), answers, strict=True):
            match answer:
                case Answer():
                    request.answer(answer)
                case Readied():
                    request.answer(Answer(answer.code))
                case StoreUnavailable():
                    request.fail(answer)
                case ItemFailed():
                    error_id = uuid.uuid4().hex
                    log.error("request_failed", error_id=error_id, player_id=request.item.player_id, cause=str(answer))
                    request.fail(InternalError(error_id))
