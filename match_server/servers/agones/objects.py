"""What is said to Agones and what it says, in the forms of its API, without I/O.

Their source is github.com/googleforgames/agones: pkg/apis/allocation/v1/gameserverallocation.go,
pkg/apis/agones/v1/gameserver.go and install/helm/agones/templates/crds.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import msgspec
from pydantic_core import to_json

from match_server.protocol import UUID_PATTERN
from match_server.servers.agones.settings import FleetSettings
from match_server.servers.provider import Order

ALLOCATIONS = "/apis/allocation.agones.dev/v1/namespaces/{}/gameserverallocations"
GAME_SERVERS = "/apis/agones.dev/v1/namespaces/{}/gameservers"
FLEETS = "/apis/agones.dev/v1/namespaces/{}/fleets/{}"

FLEET_LABEL = "agones.dev/fleet"  # which Agones sets on the game servers of a fleet
OWNER_LABEL = "match-server/owner"
SESSION_LABEL = "match-server/session"  # its value is the session of a game server that runs one
SESSION_LABEL_PREFIX = "session.match-server/"  # the rest of the name is one session of a game server that runs several
_SESSION_ID = re.compile(UUID_PATTERN)

Document: TypeAlias = dict[str, Any]


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """Of any object."""

    name: str
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class Port(msgspec.Struct, frozen=True):
    """A port at which players reach a game server."""

    port: int
    name: str = ""


class Counter(msgspec.Struct, frozen=True):
    """Of one game server, or added up over a fleet."""

    count: int = 0
    capacity: int = 0


class Status(msgspec.Struct, frozen=True):
    """Of a game server."""

    state: str = ""
    address: str = ""
    ports: list[Port] | None = None
    counters: dict[str, Counter] | None = None


class GameServer(msgspec.Struct, frozen=True):
    """A game server, as far as it matters here."""

    metadata: Metadata
    status: Status = Status()

    @property
    def plays(self) -> bool:
        """Whether it runs the sessions that it was allocated for, and will go on."""
        return self.status.state == "Allocated" and self.metadata.deletion_timestamp is None

    def sessions(self, fleet: FleetSettings) -> list[str]:
        """The sessions that its labels name."""
        labels = self.metadata.labels or {}
        if fleet.counter:
            named = [key.removeprefix(SESSION_LABEL_PREFIX) for key in labels if key.startswith(SESSION_LABEL_PREFIX)]
        else:
            named = [labels.get(SESSION_LABEL, "")]
        return [session for session in named if _SESSION_ID.fullmatch(session)]


class _ListMetadata(msgspec.Struct, frozen=True):
    next_page: str = msgspec.field(default="", name="continue")


class GameServerList(msgspec.Struct, frozen=True):
    """A page of a list."""

    items: list[GameServer]
    metadata: _ListMetadata = _ListMetadata()


class AllocationStatus(msgspec.Struct, frozen=True):
    """What became of an allocation: `Allocated`, `UnAllocated` or `Contention`."""

    state: str
    address: str = ""
    ports: list[Port] | None = None


class Allocation(msgspec.Struct, frozen=True):
    """The answer to a GameServerAllocation."""

    status: AllocationStatus


class FleetStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How many game servers of a fleet are ready, and its counters, added up."""

    ready_replicas: int = 0
    counters: dict[str, Counter] | None = None


class FleetObject(msgspec.Struct, frozen=True):
    """A fleet."""

    status: FleetStatus = FleetStatus()


def address_of(said: Status | AllocationStatus, port_name: str) -> str | None:
    """Where players connect: `host:port`; None where it names no such port."""
    ports = [port.port for port in said.ports or [] if port_name in {"", port.name}]
    if not said.address or not ports:
        return None
    host = f"[{said.address}]" if ":" in said.address else said.address
    return f"{host}:{ports[0]}"


def session_selector(fleet: FleetSettings, owner: str, session_id: str) -> Mapping[str, str]:
    """The labels of the game server that runs this session."""
    session = {SESSION_LABEL_PREFIX + session_id: "1"} if fleet.counter else {SESSION_LABEL: session_id}
    return {FLEET_LABEL: fleet.fleet, OWNER_LABEL: owner, **session}


def owner_selector(fleet: FleetSettings, owner: str) -> Mapping[str, str]:
    """The labels of the game servers of a fleet that this match server has allocated."""
    return {FLEET_LABEL: fleet.fleet, OWNER_LABEL: owner}


def as_query(labels: Mapping[str, str]) -> str:
    """These labels as a `labelSelector`."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def allocation_for(order: Order, fleet: FleetSettings, owner: str) -> Document:
    """The GameServerAllocation of an order."""
    session = order.loading_session_id
    told = {
        "session_id": session,
        "server_id": order.server_id,
        "game_mode": order.game_mode,
        "players": order.players,
        **order.settled,
    }
    labels = session_selector(fleet, owner, session)
    annotation = SESSION_LABEL_PREFIX + session if fleet.counter else SESSION_LABEL
    spec: Document = {
        "scheduling": fleet.scheduling,
        "metadata": {
            "labels": {key: value for key, value in labels.items() if key != FLEET_LABEL},
            "annotations": {annotation: to_json(told).decode()},
        },
    }
    if fleet.counter:
        free = {"counters": {fleet.counter: {"minAvailable": 1}}}
        spec["selectors"] = [
            {"matchLabels": {**owner_selector(fleet, owner)}, "gameServerState": "Allocated", **free},
            {"matchLabels": {FLEET_LABEL: fleet.fleet}, "gameServerState": "Ready", **free},
        ]
        spec["priorities"] = [{"type": "Counter", "key": fleet.counter, "order": "Ascending"}]
        spec["counters"] = {fleet.counter: {"action": "Increment", "amount": 1}}
    else:
        # The game server that has this session already, where an earlier call was carried out and its answer lost.
        spec["selectors"] = [
            {"matchLabels": {**labels}, "gameServerState": "Allocated"},
            {"matchLabels": {FLEET_LABEL: fleet.fleet}, "gameServerState": "Ready"},
        ]
    return {"apiVersion": "allocation.agones.dev/v1", "kind": "GameServerAllocation", "spec": spec}


def deletion_of(server: GameServer) -> Document:
    """The body that deletes a game server only as it was when it was looked at."""
    seen = {"uid": server.metadata.uid, "resourceVersion": server.metadata.resource_version}
    return {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": seen}


def patch_without(server: GameServer, session_ids: Collection[str], fleet: FleetSettings) -> list[Document]:
    """The JSON Patch that takes sessions off a game server that runs several, only as it was when it was looked at."""
    left = [session_id for session_id in server.sessions(fleet) if session_id not in session_ids]
    patch: list[Document] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": server.metadata.resource_version}
    ]
    for session_id in session_ids:
        name = SESSION_LABEL_PREFIX.replace("/", "~1") + session_id
        patch.append({"op": "remove", "path": f"/metadata/labels/{name}"})
        if SESSION_LABEL_PREFIX + session_id in (server.metadata.annotations or {}):
            patch.append({"op": "remove", "path": f"/metadata/annotations/{name}"})
    if fleet.counter in (server.status.counters or {}):
        patch.append({"op": "replace", "path": f"/status/counters/{fleet.counter}/count", "value": len(left)})
    return patch
