"""The matchmaker between requests, an allocator and a store that the test plays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from match_server.actors.allocator import AllocatorMessage, Provision
from match_server.actors.core import Actor, ActorSystem, Ref, Supervision
from match_server.actors.matchmaker import TICK, JourneyRequest, Matchmaker, MatchmakerMessage
from match_server.matching.modes import GameMode
from match_server.servers.provider import Order
from match_server.store.journey import (
    Answer,
    CatchUp,
    Enqueue,
    Hold,
    JourneyStore,
    Leave,
    Readied,
    Ready,
    Reassert,
    Resume,
    Step,
    StepResult,
)
from tests.shared.modes import game_modes
from tests.shared.recorder import Recorder
from tests.unit.virtual_time import until_quiet

MODE = GameMode("Normal_1v1", 2)
FOREVER = 1e6
KINDS: dict[type, str] = {
    Enqueue: "enqueues",
    Ready: "readies",
    Leave: "leaves",
    Hold: "holds",
    Resume: "resumes",
    CatchUp: "catch_ups",
    Reassert: "reasserts",
}


def enqueue(player_id: str = "ann") -> Enqueue:
    return Enqueue(player_id, "c", 1, "token", 1)


def ready(player_id: str = "ann") -> Ready:
    return Ready(player_id, "c", "L1")


def leave(player_id: str = "ann") -> Leave:
    return Leave(player_id, "c", 2, "requested")


def hold(player_id: str = "ann") -> Hold:
    return Hold(player_id, "c", 1)


def resume(player_id: str = "ann") -> Resume:
    return Resume(player_id, "c", "n", 3, "token", MODE.name, 0, 1)


def catch_up(player_id: str = "ann") -> CatchUp:
    return CatchUp(player_id, "c", "token", 0, 0)


def reassert(player_id: str = "ann") -> Reassert:
    return Reassert(player_id, "c", "n", 4, "token", MODE.name, "0", 0, 0, "queued", "", "epoch")


def order(loading_session_id: str = "L1", *, attempt: int = 1) -> Order:
    return Order(loading_session_id, attempt, MODE.name, "s1", "http://127.0.0.1:1", "s1:1", False, ("ann", "bob"))


class FakeStore(JourneyStore):
    """Answers each item with its player's name, unless the test says what a step answers."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.asked: list[tuple[str, int]] = []
        self.says: list[Callable[[Step, StepResult], None]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def step(self, game_mode: str, size: int, step: Step) -> StepResult:
        self.steps.append(step)
        self.asked.append((game_mode, size))
        await self.gate.wait()
        if self.error:
            raise self.error
        result = StepResult()
        for name in KINDS.values():
            for item in getattr(step, name):
                answer = Readied("ok", None, None) if name == "readies" else Answer("ok", (name, item.player_id))
                getattr(result, name).append(answer)
        if self.says:
            self.says.pop(0)(step, result)
        return result


class FakeAllocator(Actor[AllocatorMessage]):
    def __init__(self, orders: list[Order], stuck: asyncio.Event) -> None:
        self._orders = orders
        self._stuck = stuck

    async def receive(self, batch: Any) -> None:
        for message in batch:
            assert isinstance(message, Provision)
            self._orders.append(message.order)
        await self._stuck.wait()


class Bench:
    def __init__(self, system: ActorSystem, *, game_mode: GameMode, match_on_enqueue: bool) -> None:
        self.store = FakeStore()
        self.orders: list[Order] = []
        self.allocator_works = asyncio.Event()
        self.allocator_works.set()
        self.events = Recorder()
        self.allocator: Ref[AllocatorMessage] = system.spawn(
            "allocator", lambda: FakeAllocator(self.orders, self.allocator_works), mailbox_limit=2, phase=1
        )
        self.ref: Ref[MatchmakerMessage] = system.spawn(
            f"matchmaker/{game_mode.name}",
            lambda: Matchmaker(
                game_mode=game_mode.name,
                modes=game_modes(game_mode),
                store=self.store,
                allocator=self.allocator,
                match_on_enqueue=match_on_enqueue,
                events=self.events,
                changed=lambda: None,
            ),
            mailbox_limit=1000,
            phase=0,
            supervision=Supervision(),
        )

    async def tick(self) -> None:
        self.ref.tell(TICK)
        await until_quiet()

    def ask(self, item: Any) -> "asyncio.Future[Answer]":
        return asyncio.ensure_future(self.ref.ask(JourneyRequest(item), FOREVER))


@asynccontextmanager
async def bench(*, game_mode: GameMode = MODE, match_on_enqueue: bool = True) -> AsyncIterator[Bench]:
    async with ActorSystem() as system:
        try:
            yield Bench(system, game_mode=game_mode, match_on_enqueue=match_on_enqueue)
        finally:
            await system.stop(1)
