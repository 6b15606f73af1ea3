"""Loads the Lua scripts, checks their headers, and runs several scripts in one round trip.

Every script opens with the same header (see lua/README.md). What Python declares about a script in `SCRIPTS` must be
what its header says, or the start ends: a script and its caller cannot differ unnoticed.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import structlog
from redis import exceptions
from redis.asyncio import Redis

from match_server.errors import ScriptError, StoreUnavailable
from match_server.events.node import Events, ScriptsRan
from match_server.store.client import ELSEWHERE, is_for_now, unavailable
from match_server.store.endings import parse_ending

log = structlog.get_logger(__name__)

# The arguments of each script: first those of the whole call, then those of each item of its batch.
SCRIPTS: Mapping[str, tuple[str, str]] = {
    "adopt": ("node lease_us wait_us placement attempts limit", ""),
    "catch_up": ("", "player_id connection resume_token claimed_seq seq"),
    "confirm": ("keep_seconds", "loading_session_id attempt session_id server_address join_tokens"),
    "drain_server": ("server_id by", ""),
    "due_modes": ("period_us", "game_mode places"),
    "end_sessions": ("server_id", "session_id result"),
    "enqueue": ("game_mode node", "player_id connection operation resume_token asked_us"),
    "enqueue_ticket": (
        "game_mode node party_timeout_us closed",
        "player_id connection operation resume_token asked_us part estimated_wait",
    ),
    "expire_nodes": ("limit grace_us", "game_mode grace_us"),
    "expire_players": ("limit queue_timeout_us", "game_mode queue_timeout_us"),
    "expire_servers": ("limit", ""),
    "expire_sessions": ("limit", ""),
    "fail": ("node lease_us wait_us placement attempts", "loading_session_id attempt outcome detail wait_us"),
    "form": ("game_mode rules_version seed loading_timeout_us remember_seconds", "tickets region details differences"),
    "give_tickets": ("game_mode attributes limit", ""),
    "hand_over": ("node", "game_mode loading_session_id"),
    "heartbeat_server": ("server_id incarnation lease_us state beat listed_count absent_count", "session_id"),
    "hold": ("", "player_id connection grace_us"),
    "lease_fleets": ("node lease_ms", ""),
    "lease_proposer": ("game_mode node lease_us rules_version", ""),
    "lease_sink": ("sink holder lease_ms", ""),
    "leave": ("", "player_id connection operation reason"),
    "meetings": ("", "player_id"),
    "note_blocked": ("game_mode period_us", ""),
    "note_unreachable": ("server_id incarnation detail", ""),
    "nodes": ("limit", ""),
    "pause": ("game_mode paused by", ""),
    "place": ("game_mode node lease_us wait_us placement limit", ""),
    "player": ("player_id matched_seconds", ""),
    "players": ("game_mode stage after_score after_member after_index limit", ""),
    "publish_rules": ("revision only_if_lost", "game_mode rules_version"),
    "queues": ("", "game_mode"),
    "read_feed": ("game_mode after limit fence", ""),
    "ready": ("node lease_us wait_us placement", "player_id connection loading_session_id"),
    "reassert": (
        "party_timeout_us",
        "player_id connection node operation resume_token game_mode enqueued_at claimed_seq seq state"
        " loading_session_id epoch part",
    ),
    "register_server": (
        "server_id incarnation control_url endpoint host address capacity batch max_session_seconds game_modes"
        " region lease_us unlisted",
        "session_id",
    ),
    "remove_players": ("by", "player_id"),
    "remove_server": ("server_id", ""),
    "renew": ("node lease_us game_modes info", "game_mode loading_session_id"),
    "resume": (
        "party_timeout_us",
        "player_id connection node operation resume_token game_mode made_at_us asked_us part",
    ),
    "release_players": ("node grace_us", "player_id"),
    "retire_node": ("node grace_us limit", ""),
    "servers": ("", "server_id"),
    "signing_keys": ("proposed ahead_us overlap_us rotate", ""),
    "snapshot": ("game_mode cursor limit", ""),
    "sweep": ("period_us run_id new_epoch", ""),
    "trim_events": ("recent kept", ""),
    "try_match": ("game_mode size cap seed loading_timeout_us rules_version", ""),
}

PLAYERS_PER_CALL = 32
_GROUPS = ("players", "tickets", "matches", "servers", "upkeep")  # the folders of lua/ with scripts
_HEADER_FIELD = re.compile(r"^-- ([A-Z]+) +(.*)$")
_GIVE_UP_SECONDS = 3.0  # for one round trip, however often it is asked
_RETRY_SECONDS = 0.05
_CLOSED_SECONDS = 0.5  # after an outage calls fail at once for this long; then one call tries again


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis gets it, its parts included."""

    name: str
    text: str
    sha: str
    header: Mapping[str, str]

    @property
    def ends_something(self) -> bool:
        """Whether its reply may have a list behind it, of what it has ended (store/endings.py)."""
        return "cancel" in self.header["INCLUDE"].split()


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
    """Takes the place of an item's answer where the script failed on that item alone: a bug, which the caller logs."""


def _folder() -> Traversable:
    """In a wheel the scripts lie inside the package, in a checkout beside it."""
    packaged = files("match_server") / "lua"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "lua"


def _read_script(folder: Traversable, name: str) -> str:
    """The script of that name, in whichever of the folders it stands."""
    for group in _GROUPS:
        if (folder / group / f"{name}.lua").is_file():
            return _read(folder, f"{group}/{name}")
    raise ScriptError(f"lua/*/{name}.lua: there is none")


def _read(folder: Traversable, name: str) -> str:
    try:
        return (folder / f"{name}.lua").read_text(encoding="utf-8")
    except OSError as error:
        raise ScriptError(f"lua/{name}.lua cannot be read: {error}") from error


def _header(name: str, text: str) -> dict[str, str]:
    """Parse the comment block at the top: `-- FIELD  text`, continued by indented comment lines."""
    lines = [line for line in text.splitlines() if not line.startswith("#!")]
    if not lines or not lines[0].startswith(f"-- {name}: "):
        raise ScriptError(f"{name}.lua: expected a first line '-- {name}: what it does'")
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
        raise ScriptError(f"{name}.lua: its header lacks {', '.join(sorted(missing))}")
    return header


def _declared(arguments: str, item: str) -> str:
    parts = [arguments] if arguments else []
    if item:
        parts.append(f"per item: {item}")
    return "; ".join(parts)


def _argv(header: str) -> str:
    """Normalise the ARGV line of a header: `per player: a b` and `per session: a b` both name an item."""
    return re.sub(r"per [\w ]+:", "per item:", " ".join(header.split()))


def load_scripts(
    folder: Traversable | None = None, *, channel_prefix: str = "", publish: str = "PUBLISH", events: bool = True
) -> dict[str, Script]:
    """Read every script of `SCRIPTS`, with the parts that it includes.

    `channel_prefix` is what the names of the channels begin with, in this database of Redis
    (redis_urls.channel_prefix); `publish` is the command that publishes: SPUBLISH in a cluster. `events` is whether
    transitions leave events for the platform (lua/lib/events.lua).

    Raises:
        ScriptError: a file is missing, or its header does not fit its use.
    """
    folder = folder or _folder()
    loaded: dict[str, Script] = {}
    for name, (arguments, item) in SCRIPTS.items():
        text = _read_script(folder, name)
        header = _header(name, text)
        if _argv(header["ARGV"]) != _declared(arguments, item):
            raise ScriptError(
                f"{name}.lua: its header says ARGV '{header['ARGV']}', but it is called with"
                f" '{_declared(arguments, item)}'"
            )
        shebang, _, body = text.partition("\n")
        if not shebang.startswith("#!lua"):
            raise ScriptError(f"{name}.lua: expected '#!lua' in its first line")
        parts = [_read(folder, f"lib/{part}") for part in header["INCLUDE"].split()]
        values = f"'{channel_prefix}', '{publish}', {str(events).lower()}"
        constants = f"local DATABASE, PUBLISH, EVENTS = {values}"
        whole = "\n".join([shebang, constants, *parts, body])
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
        clustered: bool = False,
        events: Events | None = None,
    ) -> None:
        """`events` is told of each round trip, and of what its scripts end."""
        self._redis = redis
        self._keys = [f"{prefix}clock"]
        if clustered:
            # While a slot moves key by key, a script would find some of its keys gone. A server that is asked for two
            # keys, one of which is not there, answers TRYAGAIN until the move is over: nothing is half done.
            self._keys.append(f"{prefix}never-there")
        self._clustered = clustered
        self._scripts = scripts
        self._events = events or Events()
        self._ending_scripts = {name for name, script in scripts.items() if script.ends_something}
        self._closed_until = 0.0  # not 0 while Redis is known to be out of reach

    @property
    def available(self) -> bool:
        """Whether the last call was answered. If not, calls fail at once for a moment."""
        return not self._closed_until

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
                continue
            if call.script in self._ending_scripts and reply and isinstance(reply[-1], list):
                for entry in reply.pop():
                    self._events.record(parse_ending(entry))
            if call.items:
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
            try:
                replies = await self._send(calls)
                if any(isinstance(reply, exceptions.NoScriptError) for reply in replies):
                    # Not loaded and called by name again: Redis may forget them in between (docs/races.md, 26).
                    replies = await self._send(calls, whole=True)
            except (exceptions.RedisError, OSError) as error:
                if time.monotonic() - started > _GIVE_UP_SECONDS:
                    outage = unavailable(error)
                    self._lost(outage)
                    raise outage from error
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._found()
            self._events.record(ScriptsRan(calls[0].script, time.monotonic() - started))
            return replies

    async def _send(self, calls: Sequence[Call], *, whole: bool = False) -> list[Any]:
        """One pipeline of all calls, each by its script's name (EVALSHA) or with the `whole` script (EVAL)."""
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            script = self._scripts[call.script]
            flat = [value for item in call.items for value in item]
            if whole:
                pipeline.eval(script.text, len(self._keys), *self._keys, *call.arguments, *flat)
            else:
                pipeline.evalsha(script.sha, len(self._keys), *self._keys, *call.arguments, *flat)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        if self._clustered and (elsewhere := [reply for reply in replies if isinstance(reply, ELSEWHERE)]):
            raise elsewhere[0]  # asked again, of whoever has the slot by then
        return replies

    def _lost(self, outage: StoreUnavailable) -> None:
        if not self._closed_until:
            log.warning("redis_out_of_reach", error=str(outage))
        self._closed_until = time.monotonic() + _CLOSED_SECONDS

    def _found(self) -> None:
        if self._closed_until:
            log.info("redis_back")
        self._closed_until = 0.0


def _explain(call: Call, error: exceptions.ResponseError) -> StoreUnavailable:
    """The exception for a call that Redis refused; a script that failed as a whole is a bug.

    Raises:
        ScriptError: the script failed.
    """
    if is_for_now(error) or isinstance(error, exceptions.NoPermissionError) or "ACL failure" in str(error):
        return unavailable(error)
    raise ScriptError(f"{call.script}: {error}") from error
