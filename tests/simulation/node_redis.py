"""What the stores of one node take for redis-py's client: every round trip is a step of the simulation, or fails."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from redis import exceptions

from tests.simulation.database import Database
from tests.simulation.hurry import SOCKET_TIMEOUT_SECONDS
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather
from tests.simulation.wire import Command

if TYPE_CHECKING:
    pass

_FAULTS = ("lost_request", "lost_reply", "cut", "split", "late", "killed_by_call")


class NodeRedis:
    """One node's way to Redis. `dead`: nothing that this node does reaches Redis any more."""

    def __init__(
        self, name: str, database: Database, *, weather: Weather, chance: Random, trace: Trace, kill: Callable[[], None]
    ) -> None:
        self.dead = False
        self.cut_off_until = 0.0
        self._name = name
        self._database = database
        self._weather = weather
        self._chance = chance
        self._trace = trace
        self._kill = kill

    def pipeline(self, transaction: bool = True) -> "_Pipeline":
        """Gather commands."""
        return _Pipeline(self)

    async def execute_command(self, *command: Any) -> Any:
        """Run one command."""
        (reply,) = await self.exchange([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def hscan(self, key: str, cursor: int, count: int) -> tuple[int, dict[bytes, bytes]]:
        """Read a piece of a hash."""
        following, flat = await self.execute_command("HSCAN", key, cursor, "COUNT", count)
        return int(following), dict(zip(flat[::2], flat[1::2], strict=True))

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """One round trip, with what the weather makes of it."""
        await self._travel()
        await self._reach(commands)
        fault = self._draw()
        if fault:
            self._trace.note(self._name, f"({fault})", [_name(command) for command in commands])
        match fault:
            case "lost_request":
                raise exceptions.ConnectionError("the request was lost")
            case "lost_reply":
                self._database.run(self._name, commands)
                await self._travel()
                raise exceptions.ConnectionError("the reply was lost")
            case "cut":
                ran = self._chance.randint(0, len(commands))
                if ran:
                    self._database.run(self._name, commands[:ran])
                raise exceptions.ConnectionError("the link broke within a pipeline")
            case "split" if len(commands) > 1:
                first = self._chance.randint(1, len(commands) - 1)
                replies = self._database.run(self._name, commands[:first])
                await self._travel()
                await asyncio.sleep(self._chance.uniform(0, 0.02))
                self._check_alive()
                return replies + self._database.run(self._name, commands[first:])
            case "late":
                self._run_later(commands, self._chance.uniform(0, 2 * SOCKET_TIMEOUT_SECONDS))
                await asyncio.sleep(SOCKET_TIMEOUT_SECONDS)
                raise exceptions.TimeoutError("Timeout reading from socket")
            case "killed_by_call":
                if self._chance.random() < 0.5:
                    self._database.run(self._name, commands)
                self._kill()
                self._check_alive()
        replies = self._database.run(self._name, commands)
        await self._travel()
        return replies

    async def connect(self) -> None:
        """Reach Redis once, for a link of its own. Raises ConnectionError."""
        await self._travel()
        await self._reach([])

    def _draw(self) -> str:
        weather = self._weather
        for fault in _FAULTS:
            rate: float = getattr(weather, fault)
            if rate and self._chance.random() < rate:
                return fault
        return ""

    async def _travel(self) -> None:
        """The way there, or back."""
        if self._weather.slow and self._chance.random() < self._weather.slow:
            await asyncio.sleep(self._chance.uniform(0, 0.08))
        elif self._chance.random() < 0.4:
            await asyncio.sleep(self._chance.uniform(0.0001, 0.002))
        self._check_alive()

    async def _reach(self, commands: Sequence[Command]) -> None:
        """Wait while Redis is paused: whoever gives up before it goes on, will have been heard all the same."""
        database = self._database
        if asyncio.get_running_loop().time() < self.cut_off_until:
            await asyncio.sleep(0.001)
            raise exceptions.ConnectionError("No route to host")
        wait = database.paused_until - asyncio.get_running_loop().time()
        if wait > SOCKET_TIMEOUT_SECONDS:
            if commands:
                self._run_later(commands, wait)
            await asyncio.sleep(SOCKET_TIMEOUT_SECONDS)
            raise exceptions.TimeoutError("Timeout reading from socket")
        if wait > 0:
            await asyncio.sleep(wait)
            self._check_alive()
        if not database.up:
            await asyncio.sleep(0.001)
            raise exceptions.ConnectionError("Connection refused")

    def _run_later(self, commands: Sequence[Command], seconds: float) -> None:
        run_id = self._database.run_id
        self._database.under_way += 1

        def arrive() -> None:
            self._database.under_way -= 1
            if self._database.run_id == run_id and self._database.up:
                self._trace.note(self._name, "(arrives late)", [_name(command) for command in commands])
                self._database.run(self._name, commands)

        asyncio.get_running_loop().call_later(seconds, arrive)

    def _check_alive(self) -> None:
        if self.dead:
            raise asyncio.CancelledError


class _Pipeline:
    """Commands for one round trip."""

    def __init__(self, redis: NodeRedis) -> None:
        self._redis = redis
        self._commands: list[Command] = []

    def evalsha(self, sha: str, count: int, *values: Any) -> None:
        self._commands.append(("EVALSHA", sha, count, *values))

    def eval(self, text: str, count: int, *values: Any) -> None:
        self._commands.append(("EVAL", text, count, *values))

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        replies = await self._redis.exchange(self._commands)
        for reply in replies:
            if raise_on_error and isinstance(reply, Exception):
                raise reply
        return replies


def _name(command: Command) -> str:
    return str(command[1])[:6] if command[0] == "EVALSHA" else str(command[0])
