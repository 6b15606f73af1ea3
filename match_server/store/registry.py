"""The registry of dedicated servers: who is there, what they offer, which of their slots are taken."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from redis import exceptions
from redis.asyncio import Redis

from match_server.errors import StoreUnavailable
from match_server.store.client import command
from match_server.store.scripts import ScriptRunner

_SESSIONS_PER_CALL = 500
_SERVERS_PER_CALL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A dedicated server's registration, checked. `endpoint` is `control_url` with the address it resolved to."""

    server_id: str
    incarnation: str
    control_url: str
    endpoint: str
    host: str
    address: str
    capacity: int
    batch: bool
    max_session_seconds: float | None
    game_modes: tuple[str, ...]
    region: str
    active_sessions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """One dedicated server as the registry sees it."""

    server_id: str
    lease_seconds_left: float
    active: int
    reserved: int
    free: int
    record: dict[str, str]


class RegistryStore:
    """Registration, heartbeats and slots, one matchmaking pool."""

    def __init__(self, runner: ScriptRunner, redis: Redis, *, prefix: str, lease_us: int) -> None:
        self._runner = runner
        self._redis = redis
        self._prefix = prefix
        self._lease_us = lease_us

    async def register(self, server: Registration) -> str:
        """Returns `created`, `renewed` (same incarnation) or `replaced` (a new one: the old one's slots are void).

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        arguments = (
            server.server_id,
            server.incarnation,
            server.control_url,
            server.endpoint,
            server.host,
            server.address,
            server.capacity,
            int(server.batch),
            "" if server.max_session_seconds is None else server.max_session_seconds,
            ",".join(server.game_modes),
            server.region,
            self._lease_us,
        )
        sessions = iter(server.active_sessions)
        codes = [
            (await self._runner.one("register_server", *arguments, items=[(s,) for s in chunk]))[0].decode()
            for chunk in _chunks(sessions, at_least_one=True)
        ]
        return str(codes[0])

    async def heartbeat(
        self, server_id: str, *, draining: bool | None, active_sessions: Sequence[str] | None
    ) -> list[str] | None:
        """Extend a server's lease and compare its sessions with its slots.

        Without `draining` the server goes on as before. Without `active_sessions` only slots of unknown fate are looked
        at: a server that keeps no list cannot deny them otherwise.

        Returns:
            The sessions that the server is to end; None when the server is not known.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        still, absent, strangers = await self._compare(server_id, active_sessions)
        state = "" if draining is None else "draining" if draining else "live"
        beat = secrets.token_hex(8)
        to_end: list[str] = []
        runs = [(kind, session) for kind, part in enumerate((still, absent, strangers)) for session in part]
        for chunk in _chunks(iter(runs), at_least_one=True):
            listed = sum(kind == 0 for kind, _ in chunk)
            missing = sum(kind == 1 for kind, _ in chunk)
            reply = await self._runner.one(
                "heartbeat_server",
                server_id,
                self._lease_us,
                state,
                beat,
                listed,
                missing,
                items=[(session,) for _, session in chunk],
            )
            if reply[0] == b"unknown":
                return None
            to_end.extend(session.decode() for session in reply[1:])
            beat = secrets.token_hex(8)
        return to_end

    async def end_session(self, server_id: str, session_id: str) -> bool:
        """Free a session's slot; False when the server is not known.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        (code,) = await self._runner.one("end_session", server_id, session_id)
        return bool(code != b"unknown")

    async def remove(self, server_id: str) -> None:
        """Forget a server.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        await self._runner.one("remove_server", server_id)

    async def servers(self) -> list[ServerStatus]:
        """Every registered server, by its id.

        Each piece of the reading is atomic. The ids are read before, at once: by their leases, which each heartbeat
        changes, a server could slip from one piece into another, and be left out or listed twice.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        ids = sorted(await command(self._redis, "ZRANGE", f"{self._prefix}servers", 0, -1))
        found: list[ServerStatus] = []
        for start in range(0, len(ids), _SERVERS_PER_CALL):
            page = ids[start : start + _SERVERS_PER_CALL]
            reply = await self._runner.one("servers", items=[(server_id,) for server_id in page])
            found.extend(_status(flat) for flat in reply if flat)  # those that are not gone meanwhile
        return found

    async def _compare(self, server_id: str, listed: Sequence[str] | None) -> tuple[list[str], list[str], list[str]]:
        """Which slots are listed after having been missed, which are left out, and which sessions have no slot.

        Only these differences are worth a script's time; it looks again at each, so a slot that changed since this
        reading is judged by what it is then.
        """
        reserved = await self._slots(f"{self._prefix}reserved:{server_id}")
        if listed is None:
            return [], [s for s, v in reserved.items() if v.startswith(b"unknown")], []
        active = await self._slots(f"{self._prefix}active:{server_id}")
        slots = reserved | active
        there = set(listed)
        still = [s for s in there if s in slots and (slots[s] == b"1" or slots[s].startswith(b"unknown"))]
        absent = [s for s, v in slots.items() if s not in there and (s in active or v.startswith(b"unknown"))]
        return still, absent, [s for s in there if s not in slots]

    async def _slots(self, key: str) -> dict[str, bytes]:
        """All slots of one kind, read in pieces: Redis serves nobody else meanwhile."""
        slots: dict[str, bytes] = {}
        cursor = 0
        while True:
            try:
                found: Any = await self._redis.hscan(key, cursor, count=_SESSIONS_PER_CALL)
            except (exceptions.RedisError, OSError) as error:
                raise StoreUnavailable(str(error)) from error
            cursor, piece = found
            slots.update((name.decode(), value) for name, value in piece.items())
            if cursor == 0:
                return slots


def _chunks(values: Iterator[Any], *, at_least_one: bool) -> Iterator[list[Any]]:
    """Bound the work of one script call; Redis serves nobody else meanwhile."""
    chunk = list(islice(values, _SESSIONS_PER_CALL))
    while chunk or at_least_one:
        yield chunk
        at_least_one = False
        chunk = list(islice(values, _SESSIONS_PER_CALL))


def _status(flat: Sequence[Any]) -> ServerStatus:
    server_id, lease_ms, active, reserved, free, *pairs = flat
    values = [value.decode() for value in pairs]
    return ServerStatus(
        server_id=server_id.decode(),
        lease_seconds_left=lease_ms / 1000,
        active=active,
        reserved=reserved,
        free=free,
        record=dict(zip(values[::2], values[1::2], strict=True)),
    )
