"""The proposer: forms the matches of one game mode by its rules. One per such mode on every node.

Of all nodes the holder of the mode's lease proposes. It keeps a picture of the waiting tickets (a snapshot, then the
feed of changes), lets the matching look at it, and asks Redis for the matches found. Redis checks each in the step that
writes it, so neither a second proposer nor an old picture can do harm: what no longer fits changes nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from match_server.actors.core import Actor, ActorSystem, Ref, Supervision
from match_server.actors.inquiries import ANSWER_SECONDS, Elsewhere
from match_server.actors.pool_rules import RulesPublisher
from match_server.actors.request import Request
from match_server.actors.waiting import Met, Waiting
from match_server.errors import ActorError, ActorStopped, MailboxFull, StoreUnavailable
from match_server.events.node import Events, MatchesFormed, ProposalStale, SlotLacking
from match_server.matching.attributes import InvalidAttributes, read_attributes
from match_server.matching.game_modes import GameModes
from match_server.matching.overview import overview
from match_server.matching.recent import Recent
from match_server.matching.tickets import Proposal
from match_server.store.tickets import (
    CHANGES_PER_READ,
    LEASE_SECONDS,
    Formed,
    Lease,
    Outcome,
    Put,
    Refused,
    Stale,
    TicketStore,
    WaitingTicket,
)

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 1_000
SLICE_SECONDS = 0.002  # the event loop serves others after so much matching
MOST_AT_ONCE = 64  # proposals in one round trip to Redis
RENEW_SECONDS = LEASE_SECONDS / 4
RETRY_SECONDS = 1.0  # nothing is proposed for so long where a region had no slot, or the mode is paused
IDLE_TICKS = 5  # an empty mode's feed is read at each fifth tick, and at once when this node puts somebody in


class Look:
    """Look whether matches can be formed: `changed` where this node has just changed who waits."""

    __slots__ = ("changed",)

    def __init__(self, *, changed: bool) -> None:
        self.changed = changed


class Explain(Request[Mapping[str, Any] | Elsewhere | None]):
    """Why does a player's ticket wait? For an empty id: what is the queue like? None where this cannot be told."""

    __slots__ = ("player_id",)

    def __init__(self, player_id: str) -> None:
        super().__init__()
        self.player_id = player_id


ProposerMessage: TypeAlias = Look | Explain
TICK, CHANGED = Look(changed=False), Look(changed=True)


@dataclass(slots=True)
class _Picture:
    waiting: Waiting
    epoch: str
    head: int  # of the feed, as far as it was read
    read_at: float  # by the loop's clock,
    read_at_us: int  # and by the pool's


class ProposerActor(Actor[ProposerMessage]):
    """Proposes the matches of one mode. Holds nothing that a fresh instance could not read anew."""

    def __init__(
        self,
        *,
        game_mode: str,
        modes: GameModes,
        store: TicketStore,
        rules: RulesPublisher,
        node: str,
        clock: Callable[[], float],
        tick_seconds: float,
        events: Events,
    ) -> None:
        """`clock` is the event loop's time."""
        self._mode = modes[game_mode]
        self._modes = modes
        self._store = store
        self._rules = rules
        self._node = node
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._events = events
        self._recent = Recent(self._mode)
        self._lease: Lease | None = None
        self._renew_at = 0.0
        self._picture: _Picture | None = None
        self._idle_ticks = 0
        self._pause_until = 0.0
        self._no_slot_until = 0.0  # a match that was found had no slot; it is tried again before this
        self._closed: dict[str, float] = {}  # regions without a slot, and when to try them again

    async def started(self) -> None:
        """Look from now on."""
        self.every(self._tick_seconds, lambda: TICK)

    async def receive(self, batch: Sequence[ProposerMessage]) -> None:
        """Look once, however many ask for it. With Redis out of reach the picture is lost, and read anew later."""
        self._take_up_reload()
        looks = [message for message in batch if isinstance(message, Look)]
        for message in batch:
            if isinstance(message, Explain):
                message.answer(self._known(message.player_id))
        try:
            changed = any(look.changed for look in looks)
            is_open = not self._modes.is_closed(self._mode.name)
            if looks and is_open and await self._holds_lease() and self._is_due(changed=changed):
                picture = await self._read()
                if self._clock() >= self._pause_until:
                    await self._propose(picture)
        except StoreUnavailable as error:
            self._picture = None
            log.debug("proposer_waits_for_redis", game_mode=self._mode.name, cause=str(error))

    def _take_up_reload(self) -> None:
        """Go by the mode as it is now. Between two looks: what is under way ends by the rules that it began with."""
        mode = self._modes[self._mode.name]
        if mode is not self._mode:
            self._mode, self._picture, self._recent = mode, None, Recent(mode)
            self._renew_at = self._pause_until = 0.0

    def _known(self, player_id: str) -> Mapping[str, Any] | Elsewhere | None:
        if self._lease is not None and self._lease.node not in {"", self._node}:
            return Elsewhere(self._lease.node)
        if self._picture is None:
            return None
        return self._explanation(self._picture, player_id) if player_id else self._overview(self._picture)

    def _overview(self, picture: _Picture) -> Mapping[str, Any]:
        return {
            "proposer": self._node,
            "regions_without_slot": sorted(self._closed),
            **overview(picture.waiting.proposer, self._now(picture)),
            "last_matches": self._recent.differences(),
            "proposals_per_minute": self._recent.proposals.count(self._clock()),
            "conflicts_per_minute": self._recent.conflicts.count(self._clock()),
        }

    def _explanation(self, picture: _Picture, player_id: str) -> Mapping[str, Any] | None:
        found = picture.waiting.explain(player_id, self._now(picture))
        if found is None:
            return None
        lacks_slot = self._clock() < self._no_slot_until
        return {**found.as_json(), "stage": "no_slots"} if lacks_slot else found.as_json()

    def _now(self, picture: _Picture) -> float:
        """The pool's clock, in seconds since the epoch."""
        return picture.read_at_us / 1_000_000 + self._clock() - picture.read_at

    async def _holds_lease(self) -> bool:
        if self._clock() >= self._renew_at:
            await self._rules.publish()
            lease = await self._store.take_lease(self._mode.name, self._mode.rules_version)
            await self._rules.leased(self._mode.name, lease)
            self._renew_at = self._clock() + RENEW_SECONDS
            if lease != self._lease:
                self._picture = None
                if lease.node == self._node:
                    log.info("proposing", game_mode=self._mode.name, fence=lease.fence)
            self._lease = lease
            if lease.without_ticket:
                await self._give_tickets(lease.without_ticket)
        return self._lease is not None and self._lease.node == self._node

    async def _give_tickets(self, players: int) -> None:
        """The mode was drawn at random when these players came: they wait with what the attributes are by default."""
        read = read_attributes(self._mode.attributes, (), None)
        attributes = {} if isinstance(read, InvalidAttributes) else read
        given = 0
        while given < players and (more := await self._store.give_tickets(self._mode.name, attributes)):
            given += more
        log.info("tickets_given", game_mode=self._mode.name, players=given)

    def _is_due(self, *, changed: bool) -> bool:
        empty = self._picture is not None and not len(self._picture.waiting)
        self._idle_ticks = self._idle_ticks + 1 if empty and not changed else 0
        return self._idle_ticks % IDLE_TICKS == 0

    # --- the picture ---

    async def _read(self) -> _Picture:
        """The picture, up to date."""
        picture = self._picture or await self._snapshot()
        while True:
            feed = await self._store.feed(self._mode.name, picture.head, lease=self._lease)
            if feed.gap or feed.epoch != picture.epoch:
                picture = await self._snapshot()
                continue
            met = await self._meetings([change.ticket for change in feed.changes if isinstance(change, Put)])
            since = self._clock()
            for change in feed.changes:
                picture.waiting.apply(change, met)
                since = await self._give_way(since)
            picture.head, picture.read_at, picture.read_at_us = feed.head, self._clock(), feed.now_us
            if len(feed.changes) < CHANGES_PER_READ:
                self._picture = picture
                return picture

    async def _snapshot(self) -> _Picture:
        page = await self._store.snapshot(self._mode.name)
        picture = _Picture(Waiting(self._mode), page.epoch, page.head, self._clock(), page.now_us)
        while True:
            met = await self._meetings(page.tickets)
            since = self._clock()
            for ticket in page.tickets:
                picture.waiting.put(ticket, met)
                since = await self._give_way(since)
            if not page.cursor:
                return picture
            page = await self._store.snapshot(self._mode.name, page.cursor)

    async def _meetings(self, tickets: Sequence[WaitingTicket]) -> Met:
        """Whom their players have met, where a rule asks. Redis knows, so that another proposer knows it too."""
        if not self._mode.remember_seconds or not tickets:
            return {}
        return await self._store.meetings([player for ticket in tickets for player in ticket.players])

    async def _give_way(self, since: float) -> float:
        """Let others run, if this has gone on for a slice. Returns since when it goes on now."""
        if self._clock() - since < SLICE_SECONDS:
            return since
        await asyncio.sleep(0)
        return self._clock()

    # --- proposals ---

    async def _propose(self, picture: _Picture) -> None:
        proposer = picture.waiting.proposer
        self._reopen(picture)
        now = self._now(picture)
        found: list[Proposal] = []
        since = self._clock()
        for proposal in proposer.tick(now):
            if proposal is not None:
                found.append(proposal)
            if len(found) == MOST_AT_ONCE:
                await self._commit(picture, found)
                found = []
            since = await self._give_way(since)
        await self._commit(picture, found)

    async def _commit(self, picture: _Picture, found: Sequence[Proposal]) -> None:
        wishes = [(proposal, wish) for proposal in found if (wish := picture.waiting.wish(proposal)) is not None]
        outcomes = await self._store.form(
            self._mode.name,
            [wish for _, wish in wishes],
            rules_version=self._mode.rules_version,
            remember_seconds=self._mode.remember_seconds,
            loading_timeout_us=int(self._modes.deadlines(self._mode.name).loading_timeout * 1_000_000),
        )
        self._recent.proposals.add(len(wishes), self._clock())
        waits: list[int] = []
        formed = 0
        for (proposal, _), outcome in zip(wishes, outcomes, strict=True):
            if isinstance(outcome, Formed):
                picture.waiting.formed(proposal)
                self._recent.formed(proposal)
                formed += 1
                waits += outcome.waits_us
            else:
                self._not_formed(picture, proposal, outcome)
        if formed:
            self._events.record(MatchesFormed(self._mode.name, formed, tuple(waits)))

    def _not_formed(self, picture: _Picture, proposal: Proposal, outcome: Outcome) -> None:
        if isinstance(outcome, Refused) and outcome.code == "no_slot":
            self._no_slot_until = self._clock() + 2 * RETRY_SECONDS
            self._events.record(SlotLacking(self._mode.name, proposal.region or ""))
        match outcome:
            case Stale():
                self._events.record(ProposalStale(self._mode.name))
                self._recent.conflicts.add(1, self._clock())
                picture.waiting.put_back(proposal, but=outcome.ticket_id)
            case Refused(code="no_slot") if proposal.region:
                self._closed[proposal.region] = self._clock() + RETRY_SECONDS
                picture.waiting.proposer.close(proposal.region)
                picture.waiting.put_back(proposal)
            case Refused(code="other_rules"):
                # The pool's rules have changed since the lease was taken: the next answer to it says who may propose.
                picture.waiting.put_back(proposal)
                self._renew_at = 0.0
            case Refused():
                picture.waiting.put_back(proposal)
                self._pause_until = self._clock() + RETRY_SECONDS
            case StoreUnavailable():
                self._picture = None  # it may have been formed: only Redis knows
            case _:
                log.error("proposal_failed", game_mode=self._mode.name, cause=str(outcome))
                self._picture, self._pause_until = None, self._clock() + RETRY_SECONDS

    def _reopen(self, picture: _Picture) -> None:
        for region in [region for region, at in self._closed.items() if self._clock() >= at]:
            del self._closed[region]
            picture.waiting.proposer.open(region)


class ProposerPort:
    """How the rest of a node reaches the proposer of a mode."""

    def __init__(self, game_mode: str, ref: Ref[ProposerMessage]) -> None:
        self._game_mode = game_mode
        self._ref = ref

    def changed(self) -> None:
        """Players have come or gone: look at once."""
        try:
            self._ref.tell(CHANGED)
        except (MailboxFull, ActorStopped):
            log.debug("look_left_out", game_mode=self._game_mode)  # the next tick comes soon enough

    async def inquire(self, player_id: str) -> Mapping[str, Any] | Elsewhere | None:
        """See `Proposes.inquire`."""
        try:
            return await self._ref.ask(Explain(player_id), ANSWER_SECONDS)
        except ActorError:
            return None


def start(system: ActorSystem, *, phase: int, supervision: Supervision, game_mode: str, **options: Any) -> ProposerPort:
    """Start the proposer of a mode; `options` are those of `ProposerActor`."""
    ref: Ref[ProposerMessage] = system.spawn(
        f"proposer/{game_mode}",
        lambda: ProposerActor(game_mode=game_mode, **options),
        mailbox_limit=MAILBOX_LIMIT,
        phase=phase,
        supervision=supervision,
    )
    return ProposerPort(game_mode, ref)
