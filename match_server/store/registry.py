"""The registry of dedicated servers: who is there, what they offer, which of their slots are taken."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from redis import exceptions
from redis.asyncio import Redis

from match_server.errors import StoreUnavailable
from match_server.store.client import command
from match_server.store.scripts import ScriptRunner

_SESSIONS_PER_CALL = 500
_SERVERS_PER_CALL = 100
_RESULT_CHARACTERS_PER_CALL = 200_000


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
    retry_seconds: float | None  # until it is asked again, of one that failed or was full
    record: dict[str, str]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a heartbeat.

    `unknown`: the server is to register again. `taken`: another process has registered under its id.
    """

    code: Literal["ok", "unknown", "taken"]
    to_end: tuple[str, ...] = ()  # sessions that the server is to end
    unreachable: str = ""  # why the control_url that it registered could not be reached


class RegistryStore:
    """Registration, heartbeats and slots, one matchmaking pool."""

    def __init__(self, runner: ScriptRunner, redis: Redis, *, prefix: str, lease_us: int) -> None:
        self._runner = runner
        self._redis = redis
        self._prefix = prefix
        self._lease_us = lease_us

    async def register(self, server: Registration) -> str:
        """Register a server with the sessions that it says it runs.

        More sessions than one call takes come in several. Until the last has come, those that are missing count as
        taken slots, and a heartbeat is told to register again.

        Returns:
            `created`, `renewed` (same incarnation) or `replaced` (a new one: the old one's slots are void).

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
            ",".join(sorted(set(server.game_modes))),
            server.region,
            self._lease_us,
        )
        sessions = list(dict.fromkeys(server.active_sessions))
        unlisted = len(sessions)
        codes: list[str] = []
        for chunk in _chunks(iter(sessions), at_least_one=True):
            unlisted -= len(chunk)
            items = [(session,) for session in chunk]
            (code,) = await self._runner.one("register_server", *arguments, unlisted, items=items)
            codes.append(code.decode())
        return codes[0]

    async def heartbeat(
        self, server_id: str, *, incarnation: str = "", draining: bool | None, active_sessions: Sequence[str] | None
    ) -> Heard:
        """Extend a server's lease and compare its sessions with its slots.

        Without `draining` the server goes on as before. Without `active_sessions` only slots of unknown fate are looked
        at: a server that keeps no list cannot deny them otherwise. Without `incarnation` it counts as one of the
        process that registered last.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        still, absent, strangers = await self._compare(server_id, active_sessions)
        state = "" if draining is None else "draining" if draining else "live"
        beat = secrets.token_hex(8)
        to_end: list[str] = []
        unreachable = ""
        runs = [(kind, session) for kind, part in enumerate((still, absent, strangers)) for session in part]
        for chunk in _chunks(iter(runs), at_least_one=True):
            listed = sum(kind == 0 for kind, _ in chunk)
            missing = sum(kind == 1 for kind, _ in chunk)
            reply = await self._runner.one(
                "heartbeat_server",
                server_id,
                incarnation,
                self._lease_us,
                state,
                beat,
                listed,
                missing,
                items=[(session,) for _, session in chunk],
            )
            code, *rest = (value.decode() for value in reply)
            if code != "ok":
                return Heard(code)
            unreachable = unreachable or rest[0]
            to_end.extend(rest[1:])
            beat = secrets.token_hex(8)
        return Heard("ok", tuple(to_end), unreachable)

    async def end_sessions(self, server_id: str, results: Mapping[str, str]) -> list[str] | None:
        """Free the slots of sessions that are over.

        `results` has for each what the server says of it: JSON without line feeds and tabs, or an empty text.

        Returns:
            The sessions whose slot this freed: an end that is reported twice, or of a session that nobody knows, frees
            none. None when the server is not known.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        ended: list[str] = []
        for chunk in _of_bounded_size(results):
            reply = await self._runner.one("end_sessions", server_id, items=chunk)
            if reply[0] == b"unknown":
                return None
            ended.extend(session.decode() for session in reply[1:])
        return ended

    async def remove(self, server_id: str) -> int | None:
        """Forget a server.

        Returns:
            How many sessions it still had; None when there is no such server.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        code, lost_sessions = await self._runner.one("remove_server", server_id)
        return lost_sessions if code == b"removed" else None

    async def drain(self, server_id: str, *, by: str = "") -> bool:
        """Give a server no new sessions, whatever its heartbeats say, until it registers with a new incarnation.

        `by` is the label of the operator's key.

        Returns:
            Whether there is such a server.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        (known,) = await self._runner.one("drain_server", server_id, by)
        return bool(known)

    async def note_unreachable(self, server_id: str, incarnation: str, detail: str) -> bool:
        """Have operators and the server's next heartbeat told that nothing answers at its control_url.

        Returns:
            False when this incarnation is no longer registered.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        (code,) = await self._runner.one("note_unreachable", server_id, incarnation, detail)
        return bool(code == b"noted")

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
            found.extend(await self._look_at(ids[start : start + _SERVERS_PER_CALL]))
        return found

    async def server(self, server_id: str) -> ServerStatus | None:
        """One registered server, or None.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        return next(iter(await self._look_at([server_id])), None)

    async def _look_at(self, server_ids: Sequence[str | bytes]) -> list[ServerStatus]:
        """One atomic look at these servers; those that are gone are left out."""
        reply = await self._runner.one("servers", items=[(server_id,) for server_id in server_ids])
        return [_status(flat) for flat in reply if flat]

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


def _of_bounded_size(results: Mapping[str, str]) -> Iterator[list[tuple[str, str]]]:
    """The same for sessions with their results, which may be long."""
    for chunk in _chunks(iter(results.items()), at_least_one=True):
        part: list[tuple[str, str]] = []
        characters = 0
        for item in chunk:
            if part and characters + len(item[1]) > _RESULT_CHARACTERS_PER_CALL:
                yield part
                part, characters = [], 0
            part.append(item)
            characters += len(item[1])
        yield part


def _status(flat: Sequence[Any]) -> ServerStatus:
    server_id, lease_ms, active, reserved, free, retry_ms, *pairs = flat
    values = [value.decode() for value in pairs]
    return ServerStatus(
        server_id=server_id.decode(),
        lease_seconds_left=lease_ms / 1000,
        active=active,
        reserved=reserved,
        free=free,
        retry_seconds=None if retry_ms < 0 else retry_ms / 1000,
        record=dict(zip(values[::2], values[1::2], strict=True)),
    )
