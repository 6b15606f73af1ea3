"""Allocates game servers of Agones fleets. Each allocation carries the loading session's id as a label.

An answer that is lost leaves open whether a game server was allocated. So whoever asks again looks for the label first
(docs/decisions/0022).
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from match_server.servers.agones.api import Answer, ApiUnavailable, KubernetesApi
from match_server.servers.agones.objects import (
    ALLOCATIONS,
    GAME_SERVERS,
    Allocation,
    GameServerList,
    address_of,
    allocation_for,
    as_query,
    session_selector,
)
from match_server.servers.agones.settings import FleetSettings
from match_server.servers.provider import (
    FLEET_SCHEME,
    Created,
    DedicatedServerProvider,
    NotCreated,
    Order,
    Provisioned,
)

_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 0.5
_REMEMBERED = 10_000
_ALLOCATION = msgspec.json.Decoder(Allocation)
_GAME_SERVERS = msgspec.json.Decoder(GameServerList)


@dataclass(frozen=True, slots=True)
class _Again:
    """This try did not settle it."""

    why: str
    unsure: bool  # it may have allocated a game server
    after_seconds: float = 0  # as long as the API asks for


class AgonesProvider:
    """Takes the orders for fleets, and passes those for other dedicated servers on."""

    def __init__(
        self,
        api: KubernetesApi,
        fleets: Sequence[FleetSettings],
        *,
        owner: str,
        timeout_seconds: float,
        others: DedicatedServerProvider,
    ) -> None:
        """`timeout_seconds` bounds an allocation with all its tries; `owner` marks what this pool allocates."""
        self._api = api
        self._fleets = {fleet.server_id: fleet for fleet in fleets}
        self._owner = owner
        self._timeout_seconds = timeout_seconds
        self._others = others
        # Loading sessions with a try that may have allocated unnoticed. Where the node dies with what it knows, the
        # selectors of the next allocation find that game server, and the fleet's keeper ends what is left over.
        self._unsure: OrderedDict[str, None] = OrderedDict()

    async def create(self, orders: Sequence[Order]) -> list[Provisioned]:
        """See `DedicatedServerProvider.create`."""
        if not orders[0].endpoint.startswith(FLEET_SCHEME):
            return await self._others.create(orders)
        return [await self._allocate(order) for order in orders]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._api.aclose()
        await self._others.aclose()

    async def _allocate(self, order: Order) -> Provisioned:
        fleet = self._fleets.get(order.server_id)
        if fleet is None:
            return NotCreated("error", f"MATCH_AGONES of this node has no fleet {order.server_id}")
        wait, why = _FIRST_WAIT_SECONDS, "no time for a try"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                while isinstance(step := await self._try(fleet, order), _Again):
                    why = step.why
                    spread = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                    await asyncio.sleep(max(wait * spread, step.after_seconds))
                    wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
                return step
        except TimeoutError:
            unsure = order.loading_session_id in self._unsure
            return NotCreated("unknown" if unsure else "error", f"not settled in {self._timeout_seconds:g} s: {why}")

    async def _try(self, fleet: FleetSettings, order: Order) -> Provisioned | _Again:
        session_id = order.loading_session_id
        was_unsure = session_id in self._unsure
        try:
            if was_unsure and (address := await self._find(fleet, session_id)):
                del self._unsure[session_id]
                return Created(session_id, address)
            self._unsure[session_id] = None  # until its answer is there
            if len(self._unsure) > _REMEMBERED:
                self._unsure.popitem(last=False)
            path = ALLOCATIONS.format(fleet.namespace)
            answer = await self._api.call("POST", path, body=allocation_for(order, fleet, self._owner))
        except ApiUnavailable as error:
            return _Again(str(error), unsure=True)
        read = _read(answer, fleet, session_id)
        if isinstance(read, Created) or not (was_unsure or _is_unsure(read)):
            self._unsure.pop(session_id, None)
        return read

    async def _find(self, fleet: FleetSettings, session_id: str) -> str | None:
        """The address of the game server that an earlier try has allocated for this session.

        Raises:
            ApiUnavailable: nobody knows.
        """
        query = {"labelSelector": as_query(session_selector(fleet, self._owner, session_id)), "limit": "10"}
        answer = await self._api.call("GET", GAME_SERVERS.format(fleet.namespace), query=query)
        if answer.status != 200:
            raise ApiUnavailable(answer.said)
        try:
            found = _GAME_SERVERS.decode(answer.content).items
        except msgspec.DecodeError as error:
            raise ApiUnavailable(f"unreadable answer of the Kubernetes API: {error}") from None
        playing = sorted((server for server in found if server.plays), key=lambda server: server.metadata.name)
        addresses = (address_of(server.status, fleet.port) for server in playing)
        return next((address for address in addresses if address), None)


def _is_unsure(read: NotCreated | _Again) -> bool:
    """Whether a game server may be allocated all the same."""
    return read.unsure if isinstance(read, _Again) else read.outcome == "unknown"


def _read(answer: Answer, fleet: FleetSettings, session_id: str) -> Provisioned | _Again:
    """What the answer to an allocation says."""
    if answer.status in {200, 201}:
        return _read_allocation(answer, fleet, session_id)
    if answer.status in {401, 409, 425, 429}:
        return _Again(answer.said, unsure=False, after_seconds=answer.retry_after_seconds)
    if answer.status >= 500:
        return _Again(answer.said, unsure=True, after_seconds=answer.retry_after_seconds)
    return NotCreated("error", answer.said)  # a setting, a right or Agones itself is missing; no match is to blame


def _read_allocation(answer: Answer, fleet: FleetSettings, session_id: str) -> Provisioned | _Again:
    try:
        status = _ALLOCATION.decode(answer.content).status
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _Again(f"unreadable answer of the Kubernetes API: {error}", unsure=True)
    if status.state == "Allocated":
        address = address_of(status, fleet.port)
        if address is None:
            return NotCreated("unknown", f"the game server has no address, or no port {fleet.port!r}")
        return Created(session_id, address)
    if status.state == "UnAllocated":
        return NotCreated("full", f"no game server of the fleet {fleet.fleet} is free")
    return _Again(f"Agones answers {status.state!r}", unsure=False)  # Contention: the game server went to somebody else
