"""The settings of the simulated nodes: every time is short, so that a run of a few seconds meets each deadline."""

from functools import cache

from benchmarks.simulation.database import PREFIX
from benchmarks.simulation.servers import CALL_SECONDS, LEASE_SECONDS
from match_server.config import GameMode, Settings

LOADING_SECONDS = 1.5
GRACE_SECONDS = 0.8


@cache
def simulated_settings(modes: tuple[GameMode, ...]) -> Settings:
    """The settings of every node of a pool with these game modes."""
    return Settings(
        _env_file=None,
        key_prefix=PREFIX,
        game_modes=modes,
        tick_seconds=0.4,
        loading_timeout_seconds=LOADING_SECONDS,
        reconnect_grace_seconds=GRACE_SECONDS,
        node_lease_seconds=1.5,
        server_lease_seconds=LEASE_SECONDS,
        stop_seconds=4.0,
        allocation_timeout_seconds=CALL_SECONDS,
        allocation_attempts=3,
        allocation_wait_seconds=2.0,
        messages_per_second=1000,
    )
