"""A simulated node: the real actors and the real gateway over simulated links; it can be stopped, and killed."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import SecretStr

from match_server.actors.core import ActorSystem
from match_server.config import Settings
from match_server.errors import CloseCode
from match_server.events import node_log
from match_server.events.node import Events
from match_server.pool import Pool
from match_server.signing import SigningKeys
from match_server.store.scripts import Script
from match_server.web.gateway import Gateway
from match_server.web.limits import ConnectionLimit
from match_server.web.player_tokens import PlayerTokens
from tests.simulation.connection import Connection
from tests.simulation.database import Database
from tests.simulation.logs import DYING
from tests.simulation.node_redis import NodeRedis
from tests.simulation.pubsub import Hub, SimulatedLink
from tests.simulation.servers import NodeGone, SimulatedProvider
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from match_server.store.pubsub import PubSubLink

T = TypeVar("T")

_STOP_MARGIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all nodes of a simulation share."""

    settings: Settings
    scripts: Mapping[str, Script]
    database: Database
    hub: Hub
    provider: SimulatedProvider
    weather: Weather
    chance: Random
    trace: Trace
    on_violation: Callable[[str], None]


class _InOrder(set[Any]):
    """A set that is walked in the order of its filling: a run must not depend on addresses."""

    def __init__(self) -> None:
        super().__init__()
        self._order: dict[Any, None] = {}

    def add(self, item: Any) -> None:
        self._order[item] = None

    def discard(self, item: Any) -> None:
        self._order.pop(item, None)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Any:
        return iter(list(self._order))


class SimulatedNode:
    """One matchmaking node. `run` is its whole life."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self.alive = True
        self.accepting = False
        self.connections: list[Connection] = []
        self._around = around
        self._redis = NodeRedis(
            name,
            around.database,
            weather=around.weather,
            chance=around.chance,
            trace=around.trace,
            kill=self.kill,
        )
        self._link = SimulatedLink(around.hub, self._redis, around.database, around.chance)
        events = Events()
        node_log.listen(events)
        self.pool = Pool(
            node=name,
            settings=around.settings,
            redis=cast("Redis", self._redis),
            link=cast("PubSubLink", self._link),
            scripts=around.scripts,
            channel_prefix="",
            provider=around.provider,
            keys=SigningKeys(now=asyncio.get_running_loop().time),
            events=events,
            describe=lambda _: "{}",
        )
        self._system: ActorSystem | None = None
        self._stopping = asyncio.Event()
        self._stop_by = 0.0
        self._guests: set[asyncio.Task[Any]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def sessions(self) -> int:
        """How many sessions have not ended."""
        system = self._system
        return sum(cell.name.startswith("session/") for cell in system._cells) if system and self.alive else 0

    def start(self) -> None:
        """Begin to live."""
        self._around.trace.note(self.name, "STARTS")
        self._task = self._run(self._live())

    def stop(self) -> None:
        """Begin the orderly stop."""
        if self.alive and not self._stopping.is_set():
            self._around.trace.note(self.name, "STOPS")
            self.accepting = False
            self._stop_by = asyncio.get_running_loop().time() + self._around.settings.stop_seconds
            self._stopping.set()

    def kill(self) -> None:
        """End at once, wherever it is: nothing more reaches Redis, its servers or its players."""
        if not self.alive:
            return
        self._around.trace.note(self.name, "KILLED")
        self.alive = self.accepting = False
        self._redis.dead = True
        self._link.sever()
        for connection in self.connections:
            connection.node_died()
        for guest in self._guests:
            guest.cancel()
        if self._task:
            self._task.cancel()

    def cut_off(self, seconds: float) -> None:
        """Let nothing pass between this node and Redis for a while."""
        self._around.trace.note(self.name, "CUT OFF", seconds)
        self._redis.cut_off_until = asyncio.get_running_loop().time() + seconds
        self._link.sever()

    def reach_again(self) -> None:
        """End the cut."""
        self._redis.cut_off_until = 0.0

    async def ended(self) -> None:
        """Wait for its end."""
        if self._task:
            await asyncio.wait([self._task])

    def serve(self, connection: Connection) -> None:
        """Take a player's connection."""
        self.connections.append(connection)
        self._guest(self._serve(connection))

    async def handle(self, work: Awaitable[T]) -> T:
        """Carry out a call that came over HTTP. Raises NodeGone if the node dies over it."""

        async def carry_out() -> T:
            return await work

        guest = self._guest(carry_out())
        await asyncio.wait([guest])
        if guest.cancelled():
            raise NodeGone
        return cast("T", guest.result())

    def _guest(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._run(work)
        self._guests.add(task)
        task.add_done_callback(self._guests.discard)
        return task

    def _run(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        context = copy_context()
        context.run(DYING.set, lambda: not self.alive)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def _serve(self, connection: Connection) -> None:
        try:
            await self._gateway(connection.scope(), connection.receive, connection.accept)
        except Exception as error:  # noqa: BLE001 - uvicorn would log its traceback
            self._around.on_violation(f"{self.name}: the gateway failed: {error!r}")

    async def _live(self) -> None:
        try:
            async with ActorSystem() as system:
                self._system = system
                system._cells = _InOrder()
                self._gateway = self._start_actors(system)
                self.accepting = True
                await self._stopping.wait()
                await self._stop(system)
        except Exception as error:  # noqa: BLE001 - the process would end
            self._around.on_violation(f"{self.name}: the node ended itself: {error!r}")
        finally:
            self.alive = self.accepting = False

    def _start_actors(self, system: ActorSystem) -> Gateway:
        return Gateway(
            settings=self._around.settings,
            system=system,
            context=self.pool.start(system),
            tokens=PlayerTokens(key=SecretStr("")),
            limit=ConnectionLimit(total=1000, per_address=0, claim_seconds=30),
            draining=lambda: not self.accepting,
            clock=asyncio.get_running_loop().time,
        )

    async def _stop(self, system: ActorSystem) -> None:
        for connection in self.connections:
            connection.close(CloseCode.RESTARTING)
        await self.pool.stop(system, by=self._stop_by - _STOP_MARGIN_SECONDS)
        self._link.sever()
        self._around.trace.note(self.name, "STOPPED")
