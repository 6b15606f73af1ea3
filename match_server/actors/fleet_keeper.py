"""Keeps fleets in the registry as a dedicated server keeps itself there: by registrations and heartbeats."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

import structlog

from match_server.errors import StoreUnavailable
from match_server.servers.provider import Fleet, FleetLook, FleetUnavailable, Holder
from match_server.store.fleets import FleetStore
from match_server.store.registry import Registration, RegistryStore

log = structlog.get_logger(__name__)

Holders: TypeAlias = Mapping[str, Sequence[Holder]]  # by session

_LEASE_PERIODS = 3
_FREED_PER_LOOK = 200


class FleetKeeper:
    """One per node; of those of a pool the one with the lease works.

    A heartbeat lists the sessions that the fleet runs, and the registry decides as it does for any dedicated server:
    a session that two heartbeats in a row leave out is over. What the fleet runs and nobody needs is a stray: it is
    taken off its game server at the second look that finds it.
    """

    def __init__(
        self, fleets: Sequence[Fleet], *, registry: RegistryStore, store: FleetStore, period_seconds: float
    ) -> None:
        self._fleets = fleets
        self._registry = registry
        self._store = store
        self._period_seconds = period_seconds
        self._capacities: dict[str, int] = {}  # as last registered by this node, while it leads
        self._strays: dict[str, set[str]] = {}  # at the last look
        self._troubles: dict[str, str] = {}

    async def run(self) -> None:
        """Look after them until cancelled, each by itself: one that does not answer costs no other its lease.

        While Redis is away, nothing changes.
        """
        async with asyncio.TaskGroup() as group:
            for fleet in self._fleets:
                group.create_task(self._keep(fleet))

    async def _keep(self, fleet: Fleet) -> None:
        while True:
            try:
                await self._look_after(fleet)
            except StoreUnavailable as error:
                log.debug("fleet_put_off", server_id=fleet.server_id, cause=str(error))
            await asyncio.sleep(self._period_seconds)

    async def _leads(self) -> bool:
        if await self._store.leads(lease_seconds=_LEASE_PERIODS * self._period_seconds):
            return True
        self._capacities.clear()
        self._strays.clear()
        return False

    async def _look_after(self, fleet: Fleet) -> None:
        if not await self._leads():
            return
        try:
            look = await self._look(fleet)
            if look:
                await self._compare(fleet, look)
        except FleetUnavailable as error:
            if self._troubles.get(fleet.server_id) != str(error):
                log.warning("fleet_unreachable", server_id=fleet.server_id, error=str(error))
            self._troubles[fleet.server_id] = str(error)
            return
        if self._troubles.pop(fleet.server_id, None):
            log.info("fleet_reached", server_id=fleet.server_id)

    async def _look(self, fleet: Fleet) -> FleetLook | None:
        """Look at a fleet, and lead meanwhile: a large one takes longer than the lease. None if another node leads."""
        look = asyncio.create_task(fleet.look())
        try:
            while True:
                ended, _ = await asyncio.wait({look}, timeout=self._period_seconds)
                if not await self._leads():
                    return None
                if ended:
                    return look.result()
        finally:
            look.cancel()
            await asyncio.wait({look})

    async def _compare(self, fleet: Fleet, look: FleetLook) -> None:
        """Tell the registry what the fleet runs, and free what nobody needs."""
        sessions = tuple(look.holders)
        heard = await self._registry.heartbeat(fleet.server_id, draining=None, active_sessions=sessions)
        if heard.code == "unknown":  # for the first time, or its lease ran out: what it runs lives on
            capacity = look.free + len(sessions)
            await self._register(fleet, capacity, sessions)
            log.info("fleet_registered", server_id=fleet.server_id, capacity=capacity, sessions=len(sessions))
            return
        strays = await self._store.without_slot(fleet.server_id, sessions)
        capacity = look.free + len(sessions) - len(strays)
        if self._capacities.get(fleet.server_id) != capacity:
            await self._register(fleet, capacity, ())
        due = sorted(strays & self._strays.get(fleet.server_id, set()))[:_FREED_PER_LOOK]
        self._strays[fleet.server_id] = strays
        spare = {session_id: look.holders[session_id] for session_id in due}
        spare |= await self._doubles(look.holders, strays)
        await self._free(fleet, spare)

    async def _register(self, fleet: Fleet, capacity: int, sessions: tuple[str, ...]) -> None:
        registration = Registration(
            server_id=fleet.server_id,
            incarnation="",
            control_url=fleet.url,
            endpoint=fleet.url,
            host=urlsplit(fleet.url).netloc,
            address=fleet.url,
            capacity=capacity,
            batch=False,
            max_session_seconds=fleet.max_session_seconds,
            game_modes=fleet.game_modes,
            region=fleet.region,
            active_sessions=sessions,
        )
        await self._registry.register(registration)
        self._capacities[fleet.server_id] = capacity

    async def _doubles(self, holders: Holders, strays: set[str]) -> dict[str, Sequence[Holder]]:
        """What to free of sessions that two game servers hold: all but the one that the players were told of.

        A lost allocation was then carried out behind the one that took its place.
        """
        spare: dict[str, Sequence[Holder]] = {}
        for session_id, several in holders.items():
            if len(several) > 1 and session_id not in strays:
                told = await self._store.told_address(session_id)
                if told and any(holder.address == told for holder in several):
                    spare[session_id] = [holder for holder in several if holder.address != told]
        return spare

    async def _free(self, fleet: Fleet, spare: Holders) -> None:
        by_game_server: dict[str, tuple[Holder, list[str]]] = {}
        for session_id, holders in spare.items():
            for holder in holders:
                by_game_server.setdefault(holder.name, (holder, []))[1].append(session_id)
        for name, (holder, session_ids) in by_game_server.items():
            if await fleet.free(holder, session_ids):
                log.info("game_server_freed", server_id=fleet.server_id, game_server=name, session_ids=session_ids)
