"""Opens the providers of one pool: dedicated servers that register, and Agones fleets where MATCH_AGONES names some."""

from collections.abc import Sequence
from dataclasses import dataclass

from match_server.config import Settings
from match_server.servers.agones.api import KubernetesApi
from match_server.servers.agones.fleet import AgonesFleet
from match_server.servers.agones.provider import AgonesProvider
from match_server.servers.agones.settings import read_agones
from match_server.servers.http_provider import HttpProvider, Sign
from match_server.servers.provider import DedicatedServerProvider, Fleet


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the sessions of a pool come from."""

    provider: DedicatedServerProvider
    fleets: Sequence[Fleet] = ()
    fleets_period_seconds: float = 1.0


async def open_servers(settings: Settings, *, pool: str, sign: Sign) -> Servers:
    """Open what the settings name for this pool; the caller closes the provider.

    Raises:
        SettingsError: the file of MATCH_AGONES is wrong; one line for each thing.
    """
    timeout = settings.allocation_timeout_seconds
    if settings.agones is None:
        return Servers(await HttpProvider.open(timeout_seconds=timeout, sign=sign))
    pools = settings.pool_names
    agones = read_agones(settings.agones, pools=pools, server_lease_seconds=settings.server_lease_seconds)
    fleets, owner = agones.of_pool(pool, pools), agones.owner_of(pool)
    api = KubernetesApi(
        url=agones.api_url, token_file=agones.token_file, ca_file=agones.ca_file, timeout_seconds=timeout
    )
    http = await HttpProvider.open(timeout_seconds=timeout, sign=sign)
    return Servers(
        AgonesProvider(api, fleets, owner=owner, timeout_seconds=timeout, others=http),
        [AgonesFleet(api, fleet, owner=owner) for fleet in fleets],
        agones.poll_seconds,
    )
