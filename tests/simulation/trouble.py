"""What the weather says goes wrong with Redis, the pub/sub links, nodes and dedicated servers: it is made to happen."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from random import Random
from typing import Any

from tests.simulation.database import Database
from tests.simulation.node import SimulatedNode
from tests.simulation.pubsub import Hub
from tests.simulation.servers import SimulatedServer
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather

_Work = Coroutine[Any, Any, None]


class Trouble:
    """Strikes at moments of its own choice.

    Args:
        weather: what goes wrong, and how often.
        chance: when, for how long and whom it strikes.
        trace: where it says so.
        database: Redis.
        hub: the pub/sub links.
        servers: the dedicated servers, by id; those to come as well.
        pick_node: gives a node that takes connections, if there is one.
        start_node: called a while after a node was killed or stopped, for another to take its place.
    """

    def __init__(
        self,
        weather: Weather,
        *,
        chance: Random,
        trace: Trace,
        database: Database,
        hub: Hub,
        servers: Mapping[str, SimulatedServer],
        pick_node: Callable[[], SimulatedNode | None],
        start_node: Callable[[], None],
    ) -> None:
        self._weather = weather
        self._chance = chance
        self._trace = trace
        self._database = database
        self._hub = hub
        self._servers = servers
        self._pick_node = pick_node
        self._start_node = start_node

    def plan(self, seconds: float) -> Iterator[_Work]:
        """Everything that goes wrong within so many seconds, each to be run beside the rest."""
        weather = self._weather
        plans: tuple[tuple[int, Callable[[], _Work]], ...] = (
            (weather.pauses, self._pause),
            (weather.restarts, self._restart),
            (weather.emptyings, self._restart_empty),
            (weather.script_flushes, self._flush_scripts),
            (weather.link_breaks, self._break_link),
            (weather.link_silences, self._silence_link),
            (weather.partitions, self._cut_off_node),
            (weather.kills, self._kill_node),
            (weather.stops, self._stop_node),
            (weather.server_deaths, self._kill_server),
        )
        for count, trouble in plans:
            for _ in range(count):
                yield self._cause(self._chance.uniform(0.1, seconds), trouble)

    @staticmethod
    async def _cause(after_seconds: float, trouble: Callable[[], _Work]) -> None:
        await asyncio.sleep(after_seconds)
        await trouble()

    async def _pause(self) -> None:
        seconds = self._chance.choice((0.2, 0.4, 1.0, 3.0))
        self._trace.note("redis", "PAUSES", seconds)
        now = asyncio.get_running_loop().time()
        self._database.paused_until = max(self._database.paused_until, now + seconds)

    async def _restart(self, *, empty: bool = False) -> None:
        if not self._database.up:
            return
        seconds = self._chance.choice((0.0, 0.3, 1.0, 3.0))
        self._trace.note("redis", "DOWN", seconds)
        self._database.up = False
        self._hub.break_all()
        await asyncio.sleep(seconds)
        self._trace.note("redis", "UP")
        if empty:
            self._database.lose_everything()
        self._database.restart()
        self._database.forget_scripts()
        self._database.up = True

    async def _restart_empty(self) -> None:
        await self._restart(empty=True)

    async def _flush_scripts(self) -> None:
        self._database.forget_scripts()

    async def _break_link(self) -> None:
        if self._hub.links:
            link = self._chance.choice(self._hub.links)
            self._trace.note("pubsub", "A LINK BREAKS")
            link.sever()

    async def _silence_link(self) -> None:
        if self._hub.links:
            self._trace.note("pubsub", "A LINK FALLS SILENT")
            self._chance.choice(self._hub.links).silent = True

    async def _cut_off_node(self) -> None:
        if node := self._pick_node():
            node.cut_off(self._chance.choice((0.3, 1.0, 2.0, 4.0)))

    async def _kill_node(self) -> None:
        await self._replace_node(SimulatedNode.kill)

    async def _stop_node(self) -> None:
        await self._replace_node(SimulatedNode.stop)

    async def _replace_node(self, end: Callable[[SimulatedNode], None]) -> None:
        if node := self._pick_node():
            end(node)
            await asyncio.sleep(self._chance.uniform(0.05, 2.0))
            self._start_node()

    async def _kill_server(self) -> None:
        server = self._chance.choice(list(self._servers.values()))
        server.die()
        await asyncio.sleep(self._chance.choice((0.1, 1.0, 5.0)))
        server.up = True
