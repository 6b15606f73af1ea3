"""The allocator: asks dedicated servers for sessions, a bounded number of calls to each at a time.

A slow server delays only its own orders. Calls run beside the mailbox and put their results into it, so that one script
call takes all confirmations that wait there, and one all failures.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from match_server.actors.core import Actor
from match_server.errors import ActorStopped, MailboxFull, StoreUnavailable
from match_server.events.node import Events, MatchConfirmed, SessionAsked
from match_server.matching.game_modes import GameModes
from match_server.servers.provider import Created, DedicatedServerProvider, Order, Provisioned
from match_server.signing import SigningKeys
from match_server.store.journey import Confirm, Confirmed, Fail, Failed, JourneyStore
from match_server.store.scripts import ItemFailed
from match_server.store.upkeep import UpkeepStore

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 20_000
_BATCH = 64
_REMEMBERED = 10_000  # orders that arrive late do so within moments


@dataclass(frozen=True, slots=True)
class Provision:
    """Get a session for this order."""

    order: Order


@dataclass(frozen=True, slots=True)
class _Called:
    """A call to one server has ended. Its `lane` may be of an earlier instance of the allocator, which crashed."""

    lane: "_Lane"
    orders: Sequence[Order]
    outcomes: Sequence[Provisioned]
    join_tokens: Sequence[tuple[str, ...]]  # of each order's players, where it has its session
    seconds: float


class _Renew:
    __slots__ = ()


AllocatorMessage: TypeAlias = Provision | _Called | _Renew


@dataclass(slots=True)
class _Lane:
    """The orders of one server that wait, and how many calls to it are under way."""

    waiting: deque[Order]
    most_calls: int
    calls: int = 0


class Allocator(Actor[AllocatorMessage]):
    """Holds the orders that it works on. If it crashes, their leases end, and an allocator takes them over."""

    def __init__(
        self,
        *,
        store: JourneyStore,
        upkeep: UpkeepStore,
        provider: DedicatedServerProvider,
        keys: SigningKeys,
        clock: Callable[[], float],
        lease_seconds: float,
        game_modes: GameModes,
        events: Events,
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._provider = provider
        self._keys = keys
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._game_modes = game_modes
        self._events = events
        self._lanes: dict[tuple[str, str, bool], _Lane] = {}  # by server, where it was, and whether it takes batches
        self._working: dict[str, Order] = {}  # by loading session, until Redis has taken note of the outcome
        self._asked_again: set[str] = set()  # loading sessions for which the same server was called again
        self._settled: OrderedDict[str, int] = OrderedDict()  # loading session -> attempt, of those that ended last
        self._unsettled: list[tuple[Order, Confirm | Fail]] = []  # outcomes that are not in Redis yet

    async def started(self) -> None:
        """Keep the leases of what is being worked on."""
        self.every(self._lease_seconds / 3, _Renew)

    async def stopped(self) -> None:
        """Hand what it works on to other nodes. They call with the same keys, and find a session that was made."""
        leases = self._leases()
        if not leases:
            return
        try:
            handed_over = await self._upkeep.hand_over(leases)
        except StoreUnavailable:
            return  # the leases end by themselves
        log.info("allocations_handed_over", count=handed_over)

    async def receive(self, batch: Sequence[AllocatorMessage]) -> None:
        """Take new orders, settle the calls that have ended, and start what there is room for."""
        renew = False
        for message in batch:
            match message:
                case Provision(order):
                    self._take(order)
                case _Called():
                    self._ended(message)
                case _Renew():
                    renew = True
        await self._settle()
        if renew and self._working:
            await self._renew()
        self._start_calls()

    def _take(self, order: Order) -> None:
        known = self._working.get(order.loading_session_id)
        if known and known.attempt >= order.attempt:
            return  # the same order twice: an answer was repeated, or our lease ended while we were late
        if self._settled.get(order.loading_session_id, 0) >= order.attempt:
            return  # its allocation has ended already, and a second create would make a second session
        self._working[order.loading_session_id] = order
        self._asked_again.discard(order.loading_session_id)
        self._lane(order).waiting.append(order)

    def _lane(self, order: Order) -> _Lane:
        return self._lanes.setdefault(
            (order.server_id, order.endpoint, order.batch), _Lane(deque(), order.calls_at_once)
        )

    def _start_calls(self) -> None:
        for key, lane in list(self._lanes.items()):
            takes_batches = key[2]
            while lane.waiting and lane.calls < lane.most_calls:
                size = min(len(lane.waiting), _BATCH if takes_batches else 1)
                taken = [lane.waiting.popleft() for _ in range(size)]
                if orders := [order for order in taken if self._is_current(order)]:
                    lane.calls += 1
                    self.background(self._call(lane, orders))
            if not lane.calls and not lane.waiting:
                del self._lanes[key]

    def _is_current(self, order: Order) -> bool:
        """Whether no later attempt has taken this one's place."""
        return self._working.get(order.loading_session_id) is order

    async def _call(self, lane: _Lane, orders: list[Order]) -> None:
        started = self._clock()
        outcomes = await self._provider.create(orders)
        seconds = self._clock() - started
        join_tokens = [await self._join_tokens(order, outcome) for order, outcome in zip(orders, outcomes, strict=True)]
        try:
            self.ref.tell(_Called(lane, orders, outcomes, join_tokens, seconds))
        except (MailboxFull, ActorStopped):
            # The lease ends, and an allocator calls with the same key: it gets the same session, not a second one.
            log.warning("outcome_left_to_its_lease", server_id=orders[0].server_id, count=len(orders))
            lane.calls -= 1
            for order in filter(self._is_current, orders):
                self._drop(order)

    async def _join_tokens(self, order: Order, outcome: Provisioned) -> tuple[str, ...]:
        """Sign a token for each player of a session that was made. Others get a turn between two matches."""
        if not isinstance(outcome, Created):
            return ()
        await asyncio.sleep(0)
        return self._keys.join_tokens(
            order.players, session_id=outcome.session_id, server_id=order.server_id, settled=order.settled
        )

    def _ended(self, called: _Called) -> None:
        lane = called.lane
        lane.calls -= 1
        for order, outcome, join_tokens in zip(called.orders, called.outcomes, called.join_tokens, strict=True):
            how = "created" if isinstance(outcome, Created) else outcome.outcome
            self._events.record(SessionAsked(how, called.seconds))
            if not self._is_current(order):
                continue
            if isinstance(outcome, Created):
                session = order.loading_session_id
                made = Confirm(session, order.attempt, outcome.session_id, outcome.server_address, join_tokens)
                self._unsettled.append((order, made))
                continue
            why = {
                "server_id": order.server_id,
                "control_url": order.control_url,
                "loading_session_id": order.loading_session_id,
                "attempt": order.attempt,
                "outcome": outcome.outcome,
                "error": outcome.detail,
            }
            if outcome.outcome in {"unknown", "unreadable"} and order.loading_session_id not in self._asked_again:
                log.warning("session_asked_again", **why)
                self._asked_again.add(order.loading_session_id)
                lane.waiting.appendleft(order)
            else:
                log.warning("session_not_created", **why)
                failed = Fail(order.loading_session_id, order.attempt, outcome.outcome, outcome.detail)
                self._unsettled.append((order, failed))

    async def _settle(self) -> None:
        """Write the outcomes of calls to Redis. While it cannot be reached they wait; no session is made twice."""
        confirms = [(order, item) for order, item in self._unsettled if isinstance(item, Confirm)]
        fails = [(order, item) for order, item in self._unsettled if isinstance(item, Fail)]
        try:
            if confirms:
                fails += self._confirmed(
                    confirms, await self._store.confirm([item for _, item in confirms], players=_most(confirms))
                )
                self._unsettled = list(fails)
            if fails:
                items = [self._with_wait(order, item) for order, item in fails]
                self._failed(fails, await self._store.fail(items, players=_most(fails)))
                self._unsettled = []
        except StoreUnavailable:
            return

    def _with_wait(self, order: Order, item: Fail) -> Fail:
        """With the time for which a match of its mode waits for a slot, where the mode sets one."""
        mode = self._game_modes.get(order.game_mode)
        own = mode.timeouts.allocation_wait_seconds if mode else None
        return item if own is None else item._replace(wait_us=int(own * 1_000_000))

    def _confirmed(
        self, items: Sequence[tuple[Order, Confirm]], answers: Sequence[Confirmed | ItemFailed]
    ) -> list[tuple[Order, Fail]]:
        """Report matches. Returns the attempts that failed after all, because their slots were voided meanwhile."""
        lost: list[tuple[Order, Fail]] = []
        for (order, item), answer in zip(items, answers, strict=True):
            if isinstance(answer, ItemFailed):
                log.error("confirm_failed", loading_session_id=item.loading_session_id, cause=str(answer))
            elif answer.code == "lost":
                lost.append((order, Fail(item.loading_session_id, item.attempt, "lost", "")))
                continue
            elif answer.players:
                self._events.record(
                    MatchConfirmed(
                        game_mode=order.game_mode,
                        loading_session_id=item.loading_session_id,
                        session_id=item.session_id,
                        server_id=order.server_id,
                        players=answer.players,
                        since_match_ms=answer.since_match_ms,
                    )
                )
            self._forget(order)
        return lost

    def _failed(self, items: Sequence[tuple[Order, Fail]], answers: Sequence[Failed | ItemFailed]) -> None:
        for (order, item), answer in zip(items, answers, strict=True):
            self._forget(order)
            if isinstance(answer, ItemFailed):
                log.error("fail_failed", loading_session_id=item.loading_session_id, cause=str(answer))
                continue
            if answer.next_order:
                self._take(answer.next_order)
            elif answer.code in {"cancelled", "refused"}:
                log.warning(
                    "allocation_failed",
                    loading_session_id=item.loading_session_id,
                    game_mode=order.game_mode,
                    players=order.players,
                    attempts=item.attempt,
                    server_ids=answer.tried,
                    reason="refused" if answer.code == "refused" else "attempts_used_up",
                )

    def _forget(self, order: Order) -> None:
        """This attempt has ended; a later one of the same loading session goes on."""
        self._settled[order.loading_session_id] = order.attempt
        if len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)
        if self._is_current(order):
            self._drop(order)

    def _drop(self, order: Order) -> None:
        """Stop working on this order; its lease is no longer renewed."""
        del self._working[order.loading_session_id]
        self._asked_again.discard(order.loading_session_id)

    def _leases(self) -> list[tuple[str, str]]:
        return [(order.game_mode, order.loading_session_id) for order in self._working.values()]

    async def _renew(self) -> None:
        lease_us = int(self._lease_seconds * 1_000_000)
        try:
            await self._upkeep.renew(lease_us=lease_us, game_modes=self._game_modes, allocations=self._leases())
        except StoreUnavailable:
            return  # while Redis cannot be reached nobody sweeps, and no lease ends


def _most(outcomes: Sequence[tuple[Order, Confirm | Fail]]) -> int:
    """The most players that any of these matches has."""
    return max(len(order.players) for order, _ in outcomes)
