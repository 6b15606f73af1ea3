"""Orders for an Agones fleet, and a provider that speaks to a fake of its API."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from match_server.servers.agones.api import KubernetesApi
from match_server.servers.agones.fleet import AgonesFleet
from match_server.servers.agones.provider import AgonesProvider
from match_server.servers.agones.settings import FleetSettings
from match_server.servers.http_provider import HttpProvider
from match_server.servers.provider import Order
from tests.shared.fake_agones import FakeAgones
from tests.unit.provider_calls import KEYS

OWNER = "match-server"
DUEL = FleetSettings(fleet="duel", port="game")
ROOMS = FleetSettings(fleet="rooms", port="game", counter="rooms")


def order(fleet: FleetSettings = DUEL, **changes: Any) -> Order:
    fields = {
        "loading_session_id": str(uuid.uuid4()),
        "attempt": 1,
        "game_mode": "Normal_1v1",
        "server_id": fleet.server_id,
        "endpoint": fleet.url,
        "host": fleet.namespace,
        "batch": False,
        "players": ("ann", "bob"),
    }
    return Order(**{**fields, **changes})


def api_of(
    agones: FakeAgones, folder: Path, *, timeout_seconds: float = 5.0, ca_file: Path | None = None
) -> KubernetesApi:
    """A client with the fake's token, which it writes to a file once."""
    token_file = folder / "token"
    if not token_file.exists():
        token_file.write_text(f"{agones.token}\n")
    return KubernetesApi(url=agones.url, token_file=token_file, ca_file=ca_file, timeout_seconds=timeout_seconds)


@asynccontextmanager
async def provider_for(
    agones: FakeAgones,
    folder: Path,
    *fleets: FleetSettings,
    timeout_seconds: float = 5.0,
    ca_file: Path | None = None,
) -> AsyncIterator[AgonesProvider]:
    others = HttpProvider(timeout_seconds=timeout_seconds, sign=KEYS.call_token)
    api = api_of(agones, folder, timeout_seconds=timeout_seconds, ca_file=ca_file)
    provider = AgonesProvider(api, fleets or (DUEL, ROOMS), owner=OWNER, timeout_seconds=timeout_seconds, others=others)
    try:
        yield provider
    finally:
        await provider.aclose()


@asynccontextmanager
async def fleet_of(agones: FakeAgones, folder: Path, settings: FleetSettings = DUEL) -> AsyncIterator[AgonesFleet]:
    api = api_of(agones, folder)
    try:
        yield AgonesFleet(api, settings, owner=OWNER)
    finally:
        await api.aclose()
