"""One Agones fleet as the registry needs it: how much room it has, which sessions it runs, and an end for strays."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import msgspec

from match_server.servers.agones.api import Answer, ApiUnavailable, KubernetesApi
from match_server.servers.agones.objects import (
    FLEETS,
    GAME_SERVERS,
    FleetObject,
    GameServer,
    GameServerList,
    address_of,
    as_query,
    deletion_of,
    owner_selector,
    patch_without,
)
from match_server.servers.agones.settings import FleetSettings
from match_server.servers.provider import FleetLook, FleetUnavailable, Holder

_PER_PAGE = 500
_PAGES = 200
_GAME_SERVERS = msgspec.json.Decoder(GameServerList)
_FLEET = msgspec.json.Decoder(FleetObject)


@dataclass(frozen=True, slots=True)
class _Holder:
    server: GameServer
    address: str | None

    @property
    def name(self) -> str:
        return self.server.metadata.name


class AgonesFleet:
    """The `Fleet` of one `[[fleets]]`."""

    def __init__(self, api: KubernetesApi, settings: FleetSettings, *, owner: str) -> None:
        self._api = api
        self._settings = settings
        self._owner = owner
        self.server_id = settings.server_id
        self.url = settings.url
        self.game_modes = settings.game_modes
        self.region = settings.region
        self.max_session_seconds = settings.max_session_seconds

    async def look(self) -> FleetLook:
        """See `Fleet.look`. Game servers first: what is free then counts none of their sessions twice."""
        try:
            holders = await self._holders()
            return FleetLook(await self._free(), holders)
        except ApiUnavailable as error:
            raise FleetUnavailable(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FleetUnavailable(f"unreadable answer of the Kubernetes API: {error}") from None

    async def free(self, holder: Holder, session_ids: Collection[str]) -> bool:
        """See `Fleet.free`. A game server of one session is deleted, and its fleet starts another."""
        settings, server = self._settings, cast("_Holder", holder).server
        path = f"{GAME_SERVERS.format(settings.namespace)}/{server.metadata.name}"
        try:
            if settings.counter:
                body = patch_without(server, session_ids, settings)
                answer = await self._api.call("PATCH", path, body=body, kind="application/json-patch+json")
            else:
                answer = await self._api.call("DELETE", path, body=deletion_of(server))
        except ApiUnavailable as error:
            raise FleetUnavailable(str(error)) from None
        if answer.status in {404, 409, 422}:  # gone, or changed since: the next look sees
            return False
        _check(answer)
        return True

    async def _holders(self) -> dict[str, list[Holder]]:
        holders: dict[str, list[Holder]] = {}
        selector = as_query(owner_selector(self._settings, self._owner))
        query = {"labelSelector": selector, "limit": str(_PER_PAGE)}
        for _ in range(_PAGES):
            answer = await self._api.call("GET", GAME_SERVERS.format(self._settings.namespace), query=query)
            page = _GAME_SERVERS.decode(_check(answer).content)
            for server in page.items:
                if server.plays:
                    holder = _Holder(server, address_of(server.status, self._settings.port))
                    for session_id in server.sessions(self._settings):
                        holders.setdefault(session_id, []).append(holder)
            if not page.metadata.next_page:
                return holders
            query["continue"] = page.metadata.next_page
        raise FleetUnavailable(f"more than {_PAGES * _PER_PAGE} game servers")

    async def _free(self) -> int:
        path = FLEETS.format(self._settings.namespace, self._settings.fleet)
        status = _FLEET.decode(_check(await self._api.call("GET", path)).content).status
        if not self._settings.counter:
            return max(0, status.ready_replicas)
        counter = (status.counters or {}).get(self._settings.counter)
        if counter is None:
            raise FleetUnavailable(f"the fleet {self._settings.fleet} has no counter {self._settings.counter}")
        return max(0, counter.capacity - counter.count)


def _check(answer: Answer) -> Answer:
    if answer.status != 200:
        raise FleetUnavailable(answer.said)
    return answer
