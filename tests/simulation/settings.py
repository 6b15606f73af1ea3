"""The settings of the simulated nodes: every time is short, so that a run of a few seconds meets each deadline."""

from collections.abc import Iterable
from functools import cache

from match_server.config import Settings
from match_server.matching.modes import GameMode
from tests.simulation.database import PREFIX
from tests.simulation.servers import CALL_SECONDS, LEASE_SECONDS

LOADING_SECONDS = 1.5
GRACE_SECONDS = 0.8


def simulated_settings(modes: Iterable[GameMode]) -> Settings:
    """The settings of every node of a pool with these game modes."""
    return _settings(tuple((mode.name, mode.players, mode.by_rules, mode.party_max) for mode in modes))


@cache  # each seed starts several nodes with the same
def _settings(modes: tuple[tuple[str, int, bool, int], ...]) -> Settings:
    return Settings(
        _env_file=None,
        key_prefix=PREFIX,
        game_modes=tuple(
            GameMode(name, players, rules=() if by_rules else None, party_max=party_max)
            for name, players, by_rules, party_max in modes
        ),
        tick_seconds=0.4,
        loading_timeout_seconds=LOADING_SECONDS,
        party_timeout_seconds=2.0,
        reconnect_grace_seconds=GRACE_SECONDS,
        node_lease_seconds=1.5,
        server_lease_seconds=LEASE_SECONDS,
        stop_seconds=4.0,
        allocation_timeout_seconds=CALL_SECONDS,
        allocation_attempts=3,
        allocation_wait_seconds=2.0,
        messages_per_second=1000,
    )
