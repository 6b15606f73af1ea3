"""The allocator: asks dedicated servers for sessions, a bounded number of calls to each at a time.

A slow server holds up nobody but its own orders. Calls run beside the mailbox and leave their results in it, so
confirmations and failures gather there and go to Redis in one script call each.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from match_server.actors.core import Actor
from match_server.errors import ActorStopped, MailboxFull, StoreUnavailable
from match_server.servers.provider import Created, DedicatedServerProvider, Provisioned
from match_server.store.journey import Confirm, Confirmed, Fail, JourneyStore, Order
from match_server.store.scripts import ItemFailed
from match_server.store.upkeep import UpkeepStore

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 20_000
_BATCH = 64
_BATCHES_IN_FLIGHT = 2
_SINGLES_IN_FLIGHT = 4
_REMEMBERED = 10_000  # orders that arrive late do so within moments


@dataclass(frozen=True, slots=True)
class Provision:
    """Get a session for this order."""

    order: Order


@dataclass(frozen=True, slots=True)
class _Called:
    """A call to one server has ended."""

    orders: Sequence[Order]
    outcomes: Sequence[Provisioned]
    seconds: float


class _Renew:
    __slots__ = ()


AllocatorMessage: TypeAlias = Provision | _Called | _Renew


@dataclass(slots=True)
class _Lane:
    """The orders of one server that wait, and how many calls to it are under way."""

    waiting: deque[Order]
    calls: int = 0


class Allocator(Actor[AllocatorMessage]):
    """Holds the orders it works on; if it crashes, their leases run out and they are given out again."""

    def __init__(
        self,
        *,
        store: JourneyStore,
        upkeep: UpkeepStore,
        provider: DedicatedServerProvider,
        clock: Callable[[], float],
        lease_seconds: float,
        game_modes: Sequence[str],
        observe_call: Callable[[float, str], None],
        observe_match: Callable[[Confirmed], None],
        observe_given_up: Callable[[], None],
    ) -> None:
        """`observe_call` is told seconds and outcome of each call, `observe_match` of each match that was found."""
        self._store = store
        self._upkeep = upkeep
        self._provider = provider
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._game_modes = game_modes
        self._observe_call = observe_call
        self._observe_match = observe_match
        self._observe_given_up = observe_given_up
        self._lanes: dict[tuple[str, str, bool], _Lane] = {}  # by server, where it was, and whether it takes batches
        self._working: dict[str, Order] = {}  # by loading session, until Redis has taken note of the outcome
        self._asked_again: set[str] = set()  # loading sessions whose create was sent a second time
        self._settled: OrderedDict[str, int] = OrderedDict()  # loading session -> attempt, of the last ones
        self._unsettled: list[tuple[Order, Confirm | Fail]] = []  # outcomes that Redis could not take yet

    async def started(self) -> None:
        """Keep the leases of what is being worked on."""
        self.every(self._lease_seconds / 3, _Renew)

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
            return  # the same order twice: a repeated answer, or a lease that ran out while we were late
        if self._settled.get(order.loading_session_id, 0) >= order.attempt:
            return  # an answer that was overtaken by the end of its allocation: a second create would be made of it
        self._working[order.loading_session_id] = order
        self._asked_again.discard(order.loading_session_id)
        self._lane(order).waiting.append(order)

    def _lane(self, order: Order) -> _Lane:
        return self._lanes.setdefault((order.server_id, order.endpoint, order.batch), _Lane(deque()))

    def _start_calls(self) -> None:
        for key, lane in list(self._lanes.items()):
            takes_batches = key[2]
            while lane.waiting and lane.calls < (_BATCHES_IN_FLIGHT if takes_batches else _SINGLES_IN_FLIGHT):
                size = min(len(lane.waiting), _BATCH if takes_batches else 1)
                taken = [lane.waiting.popleft() for _ in range(size)]
                if orders := [order for order in taken if self._is_current(order)]:
                    lane.calls += 1
                    self.background(self._call(orders))
            if not lane.calls and not lane.waiting:
                del self._lanes[key]

    def _is_current(self, order: Order) -> bool:
        """Whether no later attempt has taken this one's place."""
        return self._working.get(order.loading_session_id) is order

    async def _call(self, orders: list[Order]) -> None:
        started = self._clock()
        outcomes = await self._provider.create(orders)
        try:
            self.ref.tell(_Called(orders, outcomes, self._clock() - started))
        except (MailboxFull, ActorStopped):
            # The lease runs out and another allocator asks with the same key: the session is found, not made twice.
            log.warning("outcome_left_to_its_lease", server_id=orders[0].server_id, count=len(orders))

    def _ended(self, called: _Called) -> None:
        lane = self._lane(called.orders[0])
        lane.calls -= 1
        for order, outcome in zip(called.orders, called.outcomes, strict=True):
            self._observe_call(called.seconds, "created" if isinstance(outcome, Created) else outcome.outcome)
            if not self._is_current(order):
                continue
            if isinstance(outcome, Created):
                session = order.loading_session_id
                made = Confirm(session, order.attempt, outcome.session_id, outcome.server_address)
                self._unsettled.append((order, made))
                continue
            log.info(
                "session_not_created",
                server_id=order.server_id,
                loading_session_id=order.loading_session_id,
                attempt=order.attempt,
                outcome=outcome.outcome,
                detail=outcome.detail,
            )
            if outcome.outcome == "unknown" and order.loading_session_id not in self._asked_again:
                self._asked_again.add(order.loading_session_id)
                lane.waiting.appendleft(order)
            else:
                self._unsettled.append((order, Fail(order.loading_session_id, order.attempt, outcome.outcome)))

    async def _settle(self) -> None:
        """Tell Redis what came of the calls. While it is out of reach the outcomes wait; nothing is made twice."""
        confirms = [(order, item) for order, item in self._unsettled if isinstance(item, Confirm)]
        fails = [(order, item) for order, item in self._unsettled if isinstance(item, Fail)]
        try:
            if confirms:
                fails += self._confirmed(
                    confirms, await self._store.confirm([item for _, item in confirms], players=_most(confirms))
                )
                self._unsettled = list(fails)
            if fails:
                self._failed(fails, await self._store.fail([item for _, item in fails], players=_most(fails)))
                self._unsettled = []
        except StoreUnavailable:
            return

    def _confirmed(
        self, items: Sequence[tuple[Order, Confirm]], answers: Sequence[Confirmed | ItemFailed]
    ) -> list[tuple[Order, Fail]]:
        """Report matches. Returns the attempts that failed after all, for their slots were voided meanwhile."""
        lost: list[tuple[Order, Fail]] = []
        for (order, item), answer in zip(items, answers, strict=True):
            if isinstance(answer, ItemFailed):
                log.error("confirm_failed", loading_session_id=item.loading_session_id, cause=str(answer))
            elif answer.code == "lost":
                lost.append((order, Fail(item.loading_session_id, item.attempt, "lost")))
                continue
            elif answer.players:
                self._observe_match(answer)
                log.debug(
                    "match_found",
                    game_mode=order.game_mode,
                    loading_session_id=item.loading_session_id,
                    session_id=item.session_id,
                    server_id=order.server_id,
                    players=answer.players,
                )
            self._forget(order)
        return lost

    def _failed(
        self, items: Sequence[tuple[Order, Fail]], answers: Sequence[tuple[str, Order | None] | ItemFailed]
    ) -> None:
        for (order, item), answer in zip(items, answers, strict=True):
            self._forget(order)
            if isinstance(answer, ItemFailed):
                log.error("fail_failed", loading_session_id=item.loading_session_id, cause=str(answer))
                continue
            code, next_order = answer
            if next_order:
                self._take(next_order)
            elif code == "cancelled":
                self._observe_given_up()
                log.warning("allocation_failed", loading_session_id=item.loading_session_id, attempts=item.attempt)

    def _forget(self, order: Order) -> None:
        """Nothing is left to do for this attempt; a later one of the same session stays."""
        self._settled[order.loading_session_id] = order.attempt
        if len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)
        if self._is_current(order):
            del self._working[order.loading_session_id]
            self._asked_again.discard(order.loading_session_id)

    async def _renew(self) -> None:
        leases = [(order.game_mode, order.loading_session_id) for order in self._working.values()]
        try:
            await self._upkeep.renew(
                lease_us=int(self._lease_seconds * 1_000_000), game_modes=self._game_modes, allocations=leases
            )
        except StoreUnavailable:
            return  # while Redis is away nobody sweeps, and no lease runs out


def _most(outcomes: Sequence[tuple[Order, Confirm | Fail]]) -> int:
    """The most players that any of these matches has."""
    return max(len(order.players) for order, _ in outcomes)
