"""Looks into Redis from outside: the pool at one instant, and its keys."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from tests.shared.invariants import OF_THE_POOL, contradictions
from tests.shared.look import LOOK, Look, read_contents
from tests.soak.stack import GAME_MODES

_KEYS = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('TTL', key)
end
return found
"""
_NO_TTL = -1
_OVERDUE_US = 5_000_000  # a sweep, and the longest pause of Redis, which the pool's clock leaves out at the next one
_OF_THE_POOL = OF_THE_POOL | {"paused", "servers", "servers:free", "quarantine", "session_deadlines"}
_OF_CLASSES = "servers:open:"
_OF_SERVERS = ("server:", "reserved:", "active:", "session_deadlines:")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The pool at one instant, and what its clock said."""

    look: Look
    now_us: int

    def contradictions(self) -> Iterator[str]:
        """What is in two places, in none, or of a wrong size."""
        return contradictions(self.look, GAME_MODES)

    def overdue(self) -> Iterator[str]:
        """Loading sessions that outlive their deadline."""
        for session_id, session in self.look.sessions.items():
            late_us = self.now_us - int(session["#deadline"])
            if session["#state"] == "loading" and late_us > _OVERDUE_US:
                yield f"loading session {session_id}, {late_us / 1e6:.1f} s after its deadline"

    def overfull(self) -> Iterator[str]:
        """Servers with more slots taken than there are."""
        for server_id, server in self.look.servers.items():
            taken, capacity = len(server.active) + len(server.reserved), int(server.record.get("capacity", 0))
            if server.record and taken > capacity:
                yield f"{server_id}: {taken} slots of {capacity} taken in the registry"

    def under_way(self) -> Iterator[str]:
        """Everything of players that is not over: with nobody there, a ghost."""
        for player, record in self.look.players.items():
            if record["state"] != "matched":
                yield f"{player} is {record['state']}, {'connected' if record['connection'] else 'away'}"
        for session_id in self.look.sessions:
            yield f"loading session {session_id}"
        for player in self.look.held:
            yield f"{player} is held"
        for node, players in self.look.nodes.items():
            yield f"{len(players)} players on the list of node {node}"


async def look(client: Redis) -> Snapshot:
    """Look at everything in one atomic step."""
    text, now_us = await cast("Any", client).eval(LOOK, 0, "")
    return Snapshot(Look(read_contents(text)), int(now_us))


async def keys(client: Redis) -> dict[str, int]:
    """Every key, with the seconds that it has left; -1 for no limit."""
    flat = await cast("Any", client).eval(_KEYS, 0)
    return {key.decode(): int(ttl) for key, ttl in zip(flat[::2], flat[1::2], strict=True)}


def unowned(ttls: Mapping[str, int], *, nodes: Iterable[str], servers: Iterable[str]) -> Iterator[str]:
    """Keys that nobody will ever delete: without a TTL, and not of the pool, a living node or a registered server."""
    owned = _OF_THE_POOL | {f"node_players:{node}" for node in nodes}
    owned |= {kind + server for kind in _OF_SERVERS for server in servers}
    for key, ttl in sorted(ttls.items()):
        if ttl == _NO_TTL and key not in owned and not key.startswith(_OF_CLASSES):
            yield key
