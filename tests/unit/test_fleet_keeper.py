"""Several fleets, looked after by one node."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from match_server.actors.fleet_keeper import FleetKeeper
from match_server.servers.provider import FleetLook
from match_server.store.registry import Heard
from tests.unit.virtual_time import run

PERIOD_SECONDS = 2.0
LEASE_SECONDS = 3 * PERIOD_SECONDS


class Registry:
    """Takes heartbeats, and knows when they came."""

    def __init__(self) -> None:
        self.heard: dict[str, list[float]] = {}

    async def heartbeat(self, server_id: str, **_: Any) -> Heard:
        self.heard.setdefault(server_id, []).append(asyncio.get_running_loop().time())
        return Heard("ok")

    async def register(self, _: object) -> None:
        pass


class Store:
    """A lease that another node takes as soon as it is not renewed in time."""

    def __init__(self) -> None:
        self._until = float("inf")

    async def leads(self, *, lease_seconds: float) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            return False
        self._until = now + lease_seconds
        return True

    async def without_slot(self, _server_id: str, _sessions: Sequence[str]) -> set[str]:
        return set()


def fleet(server_id: str, *, look_seconds: float) -> Any:
    async def look() -> FleetLook:
        await asyncio.sleep(look_seconds)
        return FleetLook(1, {})

    return SimpleNamespace(
        server_id=server_id, url="http://api", game_modes=(), region="", max_session_seconds=None, look=look
    )


def test_a_slow_fleet_costs_neither_another_nor_itself_its_lease() -> None:
    async def scene() -> dict[str, list[float]]:
        registry = Registry()
        fleets = [fleet("hangs", look_seconds=1e6), fleet("large", look_seconds=11), fleet("small", look_seconds=0.1)]
        keeper = FleetKeeper(fleets, registry=registry, store=Store(), period_seconds=PERIOD_SECONDS)  # type: ignore[arg-type]  # the parts that it uses
        keeping = asyncio.create_task(keeper.run())
        await asyncio.sleep(30)
        keeping.cancel()
        await asyncio.wait({keeping})
        return registry.heard

    heard = run(scene())
    assert heard.keys() == {"large", "small"}
    assert len(heard["large"]) == 2
    assert len(heard["small"]) > 10
