"""Simulated dedicated servers: they call the real registry of any node, and fail as the weather has it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from dedicated_server_stub.sessions import Refusal, SessionRegistry
from match_server.errors import StoreUnavailable
from match_server.servers.provider import Created, NotCreated, Order, Provisioned
from match_server.store.registry import Heard, Registration, RegistryStore
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather

if TYPE_CHECKING:
    from tests.simulation.node import SimulatedNode

T = TypeVar("T")

CALL_SECONDS = 0.8  # the deadline of a create
LEASE_SECONDS = 3.0
_BEAT_SECONDS = LEASE_SECONDS / 3
_RETRY_SECONDS = 0.3


class NodeGone(Exception):
    """The node died while it handled this call."""


class SimulatedServer:
    """A dedicated server of some capacity.

    Args:
        pick_node: any node that takes calls now, or None.
        on_told_to_end: told each running session that the service wants ended.
        start: runs a report beside everything else.
    """

    def __init__(
        self,
        server_id: str,
        *,
        capacity: int,
        batch: bool,
        weather: Weather,
        chance: Random,
        trace: Trace,
        pick_node: "Callable[[], SimulatedNode | None]",
        on_told_to_end: Callable[[str, str], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.server_id = server_id
        self.capacity = capacity
        self.up = True
        self.leaving = False
        self.incarnation = 1
        self.made: dict[str, tuple[str, ...]] = {}  # every session ever, with its players
        self.sessions = self._no_sessions()
        self._batch = batch
        self._weather = weather
        self._chance = chance
        self._trace = trace
        self._pick_node = pick_node
        self._on_told_to_end = on_told_to_end
        self._registered = 0  # the incarnation that the service knows
        self._start = start

    @property
    def endpoint(self) -> str:
        """Where allocators find it."""
        return f"sim://{self.server_id}"

    @property
    def address(self) -> str:
        """Where players find it."""
        return f"{self.server_id}:7777"

    async def run(self) -> None:
        """Register, then beat, until it is `leaving`; then unregister."""
        while not self.leaving:
            if not self.up:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            done = await (self._beat() if self._registered == self.incarnation else self._register())
            await asyncio.sleep(_BEAT_SECONDS if done else _RETRY_SECONDS)
        await self._until_answered(lambda registry: registry.remove(self.server_id))

    def die(self) -> None:
        """Lose every session; come back as a new incarnation when `up` is set again."""
        self._trace.note(self.server_id, "DIES", self.sessions.live_ids())
        self.up = False
        self.incarnation += 1
        self.sessions = self._no_sessions()

    # --- sessions ---

    async def create(self, order: Order) -> Provisioned:
        """One create, from the request's way to the answer's."""
        weather, chance = self._weather, self._chance
        await asyncio.sleep(chance.uniform(0.001, 0.03))
        if not self.up:
            return NotCreated("unknown", "connection refused")
        if self._registered != self.incarnation:
            return NotCreated("full", "not registered yet")  # or its registration would void this session
        roll = chance.random()
        if roll < weather.loses_create:
            await asyncio.sleep(2 * CALL_SECONDS)
        elif roll < weather.loses_create + weather.creates_late:
            delay = chance.uniform(0.5, 3) * CALL_SECONDS
            asyncio.get_running_loop().call_later(delay, self._make_late, self.incarnation, order)
            await asyncio.sleep(2 * CALL_SECONDS)
        if chance.random() < weather.refuses and self.sessions.refuse_on_purpose(order.loading_session_id):
            return NotCreated("error", "refused on purpose")
        outcome = self._make(order)
        if chance.random() < weather.loses_created:
            await asyncio.sleep(2 * CALL_SECONDS)
        await asyncio.sleep(chance.uniform(0.001, 0.03))
        return outcome

    def _make_late(self, incarnation: int, order: Order) -> None:
        if incarnation == self.incarnation:  # its connection died with the process
            self._make(order)

    def _make(self, order: Order) -> Provisioned:
        if not self.up:
            return NotCreated("unknown", "connection reset")
        session_id = order.loading_session_id
        if self._weather.own_session_ids:
            session_id = f"{self.server_id}.{self.incarnation}.{len(self.made)}"
        placed = self.sessions.create(
            key=order.loading_session_id, session_id=session_id, game_mode=order.game_mode, players=order.players
        )
        if isinstance(placed, Refusal):
            self._trace.note(self.server_id, "refuses", placed, order.loading_session_id)
            return NotCreated("full" if placed in {Refusal.FULL, Refusal.DRAINING} else "error", placed)
        if placed.first:
            self.made[session_id] = order.players
            self._trace.note(self.server_id, "makes", session_id, "for", order.loading_session_id, order.players)
            playing = self._chance.uniform(0.3, 3.0)
            asyncio.get_running_loop().call_later(playing, self._over, self.incarnation, session_id)
        return Created(placed.session_id, self.address)

    def _over(self, incarnation: int, session_id: str) -> None:
        if incarnation == self.incarnation and self.sessions.end(session_id):
            self._trace.note(self.server_id, "session over", session_id)
            self._start(self._report(session_id))

    # --- calls to a node ---

    async def _register(self) -> bool:
        registration = Registration(
            server_id=self.server_id,
            incarnation=str(self.incarnation),
            control_url=self.endpoint,
            endpoint=self.endpoint,
            host=self.server_id,
            address=self.address,
            capacity=self.capacity,
            batch=self._batch,
            max_session_seconds=None,
            game_modes=(),
            region="",
            active_sessions=tuple(self.sessions.live_ids()),
        )
        incarnation = self.incarnation
        if await self._call(lambda registry: registry.register(registration)) is None:
            return False
        self._registered = incarnation
        return True

    async def _beat(self) -> bool:
        """Whether it was heard."""
        listed, incarnation = self.sessions.live_ids(), self.incarnation
        answer: list[Heard] = []

        async def beat(registry: RegistryStore) -> bool:
            answer.append(
                await registry.heartbeat(
                    self.server_id, incarnation=str(incarnation), draining=False, active_sessions=listed
                )
            )
            return True

        if await self._call(beat) is None or incarnation != self.incarnation:
            return False
        if answer[-1].code != "ok":
            self._registered = 0
            return False
        for session_id in answer[-1].to_end:
            if self.sessions.end(session_id):
                self._trace.note(self.server_id, "told to end", session_id)
                self._on_told_to_end(self.server_id, session_id)
        return True

    async def _report(self, session_id: str) -> None:
        await self._until_answered(lambda registry: registry.end_sessions(self.server_id, {session_id: ""}))

    async def _until_answered(self, work: Callable[[RegistryStore], Awaitable[T]]) -> None:
        """Call until it is answered, or the process has died meanwhile."""
        incarnation = self.incarnation
        while await self._call(work) is None and incarnation == self.incarnation:  # noqa: ASYNC110 - the event is another program's
            await asyncio.sleep(_RETRY_SECONDS)

    async def _call(self, work: Callable[[RegistryStore], Awaitable[T]]) -> T | bool | None:
        """A call over HTTP to any node. None: no answer, whatever came of it; True: an answer without content."""
        node = self._pick_node()
        if node is None:
            return None
        await asyncio.sleep(self._chance.uniform(0.001, 0.05))
        lost = self._chance.random() < self._weather.loses_report
        if lost and self._chance.random() < 0.5:
            return None
        try:
            answer = await node.handle(work(node.pool.registry))
        except (StoreUnavailable, NodeGone):
            return None
        await asyncio.sleep(self._chance.uniform(0.001, 0.01))
        return None if lost else (True if answer is None else answer)

    def _no_sessions(self) -> SessionRegistry:
        return SessionRegistry(
            capacity=self.capacity, limit_seconds=None, clock=lambda: asyncio.get_running_loop().time()
        )


class SimulatedProvider:
    """The `DedicatedServerProvider` of every node."""

    def __init__(self, servers: dict[str, SimulatedServer]) -> None:
        self._servers = servers

    async def create(self, orders: Sequence[Order]) -> list[Provisioned]:
        """See `DedicatedServerProvider.create`."""
        if not orders[0].endpoint:
            return [NotCreated("error", "the server is no longer registered") for _ in orders]
        server = self._servers[orders[0].server_id]
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return [await server.create(order) for order in orders]
        except TimeoutError:
            return [NotCreated("unknown", "no answer in time") for _ in orders]

    async def aclose(self) -> None:
        """There is nothing to close."""
