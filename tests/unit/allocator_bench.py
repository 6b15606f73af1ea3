"""The allocator with its orders, dedicated servers and Redis played by the test."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from match_server.actors.allocator import Allocator, AllocatorMessage, Provision
from match_server.actors.core import ActorSystem, Ref, Supervision
from match_server.errors import StoreUnavailable
from match_server.events.node import MatchConfirmed
from match_server.matching.modes import GameMode
from match_server.servers.provider import Created, NotCreated, Order, Provisioned
from match_server.signing import SigningKeys
from match_server.store.journey import Confirm, Confirmed, Fail, Failed, JourneyStore
from match_server.store.scripts import ItemFailed
from match_server.store.upkeep import UpkeepStore
from tests.shared.modes import game_modes
from tests.shared.recorder import Recorder
from tests.unit.virtual_time import until_quiet

MODE = "Normal_1v1"
LEASE_SECONDS = 6.0
SAID = "as the test wants it"


def order(number: int | str = 1, *, server_id: str = "s1", attempt: int = 1, batch: bool = False) -> Order:
    return Order(f"L{number}", attempt, MODE, server_id, "http://127.0.0.1:1", "s1:1", batch, ("ann", "bob"))


def created(of: Order) -> Created:
    return Created(f"session-{of.loading_session_id}", "203.0.113.7:7777")


def not_created(outcome: Literal["full", "wrong", "error", "unknown", "unreadable"]) -> NotCreated:
    return NotCreated(outcome, SAID)


class FakeProvider:
    """Keeps each call waiting until the test answers it, unless `at_once` says how."""

    def __init__(self) -> None:
        self.calls: list[list[Order]] = []
        self.waiting: list[tuple[list[Order], asyncio.Future[list[Provisioned]]]] = []
        self.at_once: Literal["created", "full", "error", "unknown"] | None = None

    async def create(self, orders: Sequence[Order]) -> list[Provisioned]:
        self.calls.append(list(orders))
        if self.at_once == "created":
            return [created(one) for one in orders]
        if self.at_once:
            return [not_created(self.at_once) for _ in orders]
        future: asyncio.Future[list[Provisioned]] = asyncio.get_running_loop().create_future()
        self.waiting.append((list(orders), future))
        return await future

    async def aclose(self) -> None:
        """There is nothing to close."""

    def answer(self, outcome: NotCreated | None = None) -> None:
        """Answer the call that has waited longest."""
        orders, future = self.waiting.pop(0)
        future.set_result([outcome or created(one) for one in orders])


class FakeStore(JourneyStore):
    def __init__(self) -> None:
        self.confirms: list[list[Confirm]] = []
        self.fails: list[list[Fail]] = []
        self.error: StoreUnavailable | None = None
        self.confirm_error: StoreUnavailable | None = None
        self.confirm_says: dict[str, Confirmed | ItemFailed] = {}
        self.fail_says: dict[str, Failed | ItemFailed] = {}

    async def confirm(self, items: Sequence[Confirm], *, players: int = 2) -> list[Confirmed | ItemFailed]:
        self.confirms.append(list(items))
        if error := self.error or self.confirm_error:
            raise error
        usual = Confirmed("matched", ("ann", "bob"), 1500)
        return [self.confirm_says.get(item.loading_session_id, usual) for item in items]

    async def fail(self, items: Sequence[Fail], *, players: int = 2) -> list[Failed | ItemFailed]:
        self.fails.append(list(items))
        if self.error:
            raise self.error
        return [self.fail_says.get(item.loading_session_id, Failed("cancelled")) for item in items]


class FakeUpkeep(UpkeepStore):
    def __init__(self) -> None:
        self.renewals: list[tuple[int, list[tuple[str, str]]]] = []
        self.handed_over: list[tuple[str, str]] = []
        self.error: StoreUnavailable | None = None

    async def renew(
        self, *, lease_us: int, game_modes: Iterable[str], info: str = "", allocations: Sequence[tuple[str, str]] = ()
    ) -> bool:
        self.renewals.append((lease_us, list(allocations)))
        if self.error:
            raise self.error
        return True

    async def hand_over(self, allocations: Sequence[tuple[str, str]]) -> int:
        if self.error:
            raise self.error
        self.handed_over += allocations
        return len(allocations)


class Bench:
    def __init__(self, system: ActorSystem) -> None:
        self.store, self.upkeep, self.provider = FakeStore(), FakeUpkeep(), FakeProvider()
        self.events = Recorder()
        self.ref: Ref[AllocatorMessage] = system.spawn(
            "allocator",
            lambda: Allocator(
                store=self.store,
                upkeep=self.upkeep,
                provider=self.provider,
                keys=SigningKeys(),
                clock=asyncio.get_running_loop().time,
                lease_seconds=LEASE_SECONDS,
                game_modes=game_modes(GameMode(MODE, 2)),
                events=self.events,
            ),
            mailbox_limit=10_000,
            phase=0,
            supervision=Supervision(),
        )

    async def take(self, *orders: Order) -> None:
        for one in orders:
            self.ref.tell(Provision(one))
        await until_quiet()

    async def answer(self, outcome: NotCreated | None = None) -> None:
        self.provider.answer(outcome)
        await until_quiet()

    @property
    def found(self) -> list[MatchConfirmed]:
        return self.events.of(MatchConfirmed)

    def sizes(self) -> list[int]:
        return [len(call) for call in self.provider.calls]

    def failed(self) -> list[Fail]:
        return [item for items in self.store.fails for item in items]

    def confirmed(self) -> list[Confirm]:
        return [item for items in self.store.confirms for item in items]


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    async with ActorSystem() as system:
        try:
            yield Bench(system)
        finally:
            await system.stop(1)
