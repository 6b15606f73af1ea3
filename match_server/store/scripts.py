"""Loads the Lua scripts, holds their headers against their use, and runs them in one round trip.

Every script opens with the same header (see lua/README.md). What Python declares about a script in `SCRIPTS` must be
what its header says, or the start ends: a script and its caller never drift apart unseen.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import structlog
from redis import exceptions
from redis.asyncio import Redis

from match_server.errors import ScriptError, StoreUnavailable

log = structlog.get_logger(__name__)

# The arguments of each script: first those of the whole call, then those of each item of its batch.
SCRIPTS: Mapping[str, tuple[str, str]] = {
    "adopt": ("node lease_us wait_us attempts limit", ""),
    "catch_up": ("", "player_id connection resume_token claimed_seq seq"),
    "confirm": ("keep_seconds", "loading_session_id attempt session_id server_address"),
    "end_session": ("server_id session_id", ""),
    "enqueue": ("game_mode node", "player_id connection operation resume_token asked_us"),
    "expire_nodes": ("limit grace_us", ""),
    "expire_players": ("limit queue_timeout_us", ""),
    "expire_servers": ("limit", ""),
    "expire_sessions": ("limit", ""),
    "fail": ("node lease_us wait_us attempts", "loading_session_id attempt outcome"),
    "heartbeat_server": ("server_id lease_us state beat listed_count absent_count", "session_id"),
    "hold": ("", "player_id connection grace_us"),
    "leave": ("", "player_id connection operation reason"),
    "place": ("game_mode node lease_us wait_us limit", ""),
    "player": ("player_id matched_seconds", ""),
    "queues": ("", "game_mode"),
    "ready": ("node lease_us wait_us", "player_id connection loading_session_id"),
    "reassert": (
        "",
        "player_id connection node operation resume_token game_mode enqueued_at claimed_seq seq state"
        " loading_session_id epoch",
    ),
    "register_server": (
        "server_id incarnation control_url endpoint host address capacity batch max_session_seconds game_modes"
        " region lease_us",
        "session_id",
    ),
    "remove_server": ("server_id", ""),
    "renew": ("node lease_us game_modes", "game_mode loading_session_id"),
    "resume": ("", "player_id connection node operation resume_token game_mode made_at_us asked_us"),
    "release_players": ("node grace_us", "player_id"),
    "retire_node": ("node grace_us limit", ""),
    "servers": ("", "server_id"),
    "sweep": ("period_us run_id new_epoch", ""),
    "try_match": ("game_mode size cap seed loading_timeout_us", ""),
}

PLAYERS_PER_CALL = 32
_HEADER_FIELD = re.compile(r"^-- ([A-Z]+) +(.*)$")
_GIVE_UP_SECONDS = 3.0  # for one round trip, however often it is asked
_RETRY_SECONDS = 0.05
_CLOSED_SECONDS = 0.5  # after an outage was seen, calls are refused at once for this long, then one tries
# Redis is there, but cannot work now: the caller is told so, and asks again later.
_NOT_NOW = (
    "OOM",
    "READONLY",
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOREPLICAS",
    "MISCONF",
    "TRYAGAIN",
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis gets it, its parts included."""

    name: str
    text: str
    sha: str
    header: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script: its own arguments, and those of each item of its batch."""

    script: str
    arguments: tuple[Any, ...] = ()
    items: Sequence[tuple[Any, ...]] = ()

    def chunks(self, players_per_item: int = 1) -> "list[Call]":
        """The same in calls of at most `PLAYERS_PER_CALL` players: while one runs, Redis serves nobody else."""
        size = max(1, PLAYERS_PER_CALL // players_per_item)
        starts = range(0, len(self.items), size)
        return [Call(self.script, self.arguments, self.items[i : i + size]) for i in starts]


class ItemFailed(Exception):
    """Stands in a reply where the script failed on one item, alone: a bug, to be logged."""


def _folder() -> Traversable:
    """In a wheel the scripts lie inside the package, in a checkout beside it."""
    packaged = files("match_server") / "lua"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "lua"


def _read(folder: Traversable, name: str) -> str:
    try:
        return (folder / f"{name}.lua").read_text(encoding="utf-8")
    except OSError as error:
        raise ScriptError(f"lua/{name}.lua cannot be read: {error}") from error


def _header(name: str, text: str) -> dict[str, str]:
    """Parse the comment block at the top: `-- FIELD  text`, continued by indented comment lines."""
    lines = [line for line in text.splitlines() if not line.startswith("#!")]
    if not lines or not lines[0].startswith(f"-- {name}: "):
        raise ScriptError(f"lua/{name}.lua: expected a first line '-- {name}: what it does'")
    header: dict[str, str] = {}
    field = ""
    for line in lines:
        if not line.startswith("--"):
            break
        if found := _HEADER_FIELD.match(line):
            field = found[1]
            header[field] = found[2].strip()
        elif field:
            header[field] += "\n" + line.removeprefix("--").strip()
    missing = {"KEYS", "ARGV", "RETURN", "CODES", "TOUCHES", "SENDS", "INCLUDE"} - header.keys()
    if missing:
        raise ScriptError(f"lua/{name}.lua: its header lacks {', '.join(sorted(missing))}")
    return header


def _declared(arguments: str, item: str) -> str:
    parts = [arguments] if arguments else []
    if item:
        parts.append(f"per item: {item}")
    return "; ".join(parts)


def _argv(header: str) -> str:
    """Normalise the ARGV line of a header: `per player: a b` and `per session: a b` both name an item."""
    return re.sub(r"per [\w ]+:", "per item:", " ".join(header.split()))


def load_scripts(folder: Traversable | None = None) -> dict[str, Script]:
    """Read every script of `SCRIPTS`, with the parts that it includes.

    Raises:
        ScriptError: a file is missing, or its header does not fit its use.
    """
    folder = folder or _folder()
    loaded: dict[str, Script] = {}
    for name, (arguments, item) in SCRIPTS.items():
        text = _read(folder, name)
        header = _header(name, text)
        if _argv(header["ARGV"]) != _declared(arguments, item):
            raise ScriptError(
                f"lua/{name}.lua: its header says ARGV '{header['ARGV']}', but it is called with"
                f" '{_declared(arguments, item)}'"
            )
        shebang, _, body = text.partition("\n")
        if not shebang.startswith("#!lua"):
            raise ScriptError(f"lua/{name}.lua: expected '#!lua' in its first line")
        parts = [_read(folder, f"lib/{part}") for part in header["INCLUDE"].split()]
        whole = "\n".join([shebang, *parts, body])
        sha = hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
        loaded[name] = Script(name=name, text=whole, sha=sha, header=header)
    return loaded


class ScriptRunner:
    """Runs scripts on one matchmaking pool. Owns no connection; every call is one round trip of the client's pool."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str,
        scripts: Mapping[str, Script],
        observe: Callable[[str, float], None] = lambda _script, _seconds: None,
    ) -> None:
        """`observe` is told the seconds that each round trip took, by the name of its first script."""
        self._redis = redis
        self._clock_key = f"{prefix}clock"
        self._scripts = scripts
        self._observe = observe
        self._closed_until = 0.0  # not 0 while Redis is known to be out of reach

    @property
    def available(self) -> bool:
        """Whether the last call was answered: while it is not, calls are refused at once for a moment."""
        return not self._closed_until

    async def load(self) -> None:
        """Send every script to Redis, which also checks its syntax.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for script in self._scripts.values():
            pipeline.script_load(script.text)
        try:
            await pipeline.execute()
        except (exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(f"scripts could not be loaded: {error}") from error

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Run several scripts in one round trip, in order.

        A reply that was lost is asked for again: every script answers the repeat of an operation as it answered first.

        Returns:
            Per call its reply; where a call has items, one entry per item, `ItemFailed` where the script failed on
            that item alone; or a `StoreUnavailable` where Redis refused this call for now.

        Raises:
            StoreUnavailable: no answer, however often it was asked.
        """
        if not calls:
            return []
        replies = await self._round_trip(calls)
        for index, (call, reply) in enumerate(zip(calls, replies, strict=True)):
            if isinstance(reply, exceptions.ResponseError):
                replies[index] = _explain(call, reply)
            elif call.items:
                replies[index] = [
                    ItemFailed(f"{call.script}: {entry}") if isinstance(entry, exceptions.ResponseError) else entry
                    for entry in reply
                ]
        return replies

    async def one(self, script: str, *arguments: Any, items: Iterable[tuple[Any, ...]] = ()) -> Any:
        """Run one script and return its reply.

        Raises:
            StoreUnavailable: no answer, or Redis refused for now.
        """
        (reply,) = await self.run([Call(script, arguments, list(items))])
        if isinstance(reply, StoreUnavailable):
            raise reply
        return reply

    async def _round_trip(self, calls: Sequence[Call]) -> list[Any]:
        started = time.monotonic()
        if started < self._closed_until:
            raise StoreUnavailable("Redis is out of reach")
        while True:
            pipeline = self._redis.pipeline(transaction=False)
            for call in calls:
                flat = [value for item in call.items for value in item]
                pipeline.evalsha(self._scripts[call.script].sha, 1, self._clock_key, *call.arguments, *flat)
            try:
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
                if any(isinstance(reply, exceptions.NoScriptError) for reply in replies):
                    await self.load()
                    raise exceptions.NoScriptError("scripts were forgotten; they are loaded again")
            except (exceptions.RedisError, OSError, StoreUnavailable) as error:
                if time.monotonic() - started > _GIVE_UP_SECONDS:
                    self._lost(error)
                    raise StoreUnavailable(str(error)) from error
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._found()
            self._observe(calls[0].script, time.monotonic() - started)
            return replies

    def _lost(self, error: Exception) -> None:
        if not self._closed_until:
            log.warning("redis_out_of_reach", error=str(error))
        self._closed_until = time.monotonic() + _CLOSED_SECONDS

    def _found(self) -> None:
        if self._closed_until:
            log.info("redis_back")
        self._closed_until = 0.0


def _explain(call: Call, error: exceptions.ResponseError) -> StoreUnavailable:
    """Tell a Redis that cannot work now from a script that failed as a whole, which is a bug.

    Raises:
        ScriptError: the script failed.
    """
    text = str(error)
    if isinstance(error, exceptions.OutOfMemoryError | exceptions.ReadOnlyError) or text.startswith(_NOT_NOW):
        return StoreUnavailable(text)
    raise ScriptError(f"{call.script}: {text}") from error
