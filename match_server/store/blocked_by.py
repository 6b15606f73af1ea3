"""Why the players of a queue are not matched."""

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

from match_server.matching.modes import GameMode
from match_server.store.operators import QueueStatus
from match_server.store.registry import RegistryStore, ServerStatus

BlockedBy: TypeAlias = Literal["paused", "too_few_players", "no_server_for_mode", "no_free_slot"]


async def blocked_by(
    mode: GameMode, status: QueueStatus, registry: RegistryStore, regions: Collection[str] = ()
) -> BlockedBy | None:
    """Why those who wait are not matched; None where nobody waits, or a match may form.

    Who is held, its link lost, waits and makes no match.

    `regions` are those for which the proposer has just found a match, and no slot; it alone knows which regions players
    reach. The servers are read only where it is for want of a slot.

    Raises:
        StoreUnavailable: Redis gave no answer.
    """
    lacks_slot = why_blocked(mode, status, (), regions) == "no_server_for_mode"
    return why_blocked(mode, status, await registry.servers() if lacks_slot else (), regions)


def why_blocked(
    mode: GameMode, status: QueueStatus, servers: Sequence[ServerStatus], regions: Collection[str] = ()
) -> BlockedBy | None:
    """The same, where the dedicated servers have been read already."""
    if status.paused:
        return "paused"
    if not (status.waiting or status.held):
        return None
    if status.waiting < mode.least_players:
        return "too_few_players"
    if not regions and status.free_slots > status.loading_sessions + status.unplaced_sessions:
        return None
    for server in servers:
        record = server.record
        takes_mode = not record["game_modes"] or mode.name in record["game_modes"].split(",")
        if takes_mode and (not regions or record["region"] in regions):
            return "no_free_slot"
    return "no_server_for_mode"
