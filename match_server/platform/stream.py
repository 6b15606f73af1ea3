"""A sink's view of the stream of events: what it has yet to store, what it has stored, what it will never take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from match_server.errors import StoreRefuses
from match_server.store.client import command
from match_server.store.scripts import ScriptRunner

LEASE_SECONDS = 5.0
_ENTRIES_PER_READ = 500
_WAIT_MS = 500  # for new entries; far less than the lease, and than the deadline of a command
_CONSUMER = "platform"  # whoever has the lease: what another has left unacknowledged is found under the same name
_DEAD_LETTERS = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the stream: the events of one call of a script."""

    entry_id: str
    text: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that a sink refused for good."""

    letter_id: str
    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Position:
    """How far a sink is."""

    behind: int  # events that it has yet to store, about
    lost: int  # events that were deleted before it had stored them
    lost_to: int  # the number of the last of them
    dead_letters: int


class SinkStream:
    """The stream as one sink reads it: a consumer group of its own."""

    def __init__(self, redis: Redis, runner: ScriptRunner, *, prefix: str, sink: str) -> None:
        self.sink = sink
        self._redis = redis
        self._runner = runner
        self._prefix = prefix
        self._key = f"{prefix}events"
        self._dead = f"{prefix}events:dead:{sink}"

    async def hold_lease(self, holder: str) -> bool:
        """Take or renew the lease of this sink. Returns whether `holder` has it now.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        return bool(await self._runner.one("lease_sink", self.sink, holder, int(LEASE_SECONDS * 1000)))

    async def release_lease(self, holder: str) -> None:
        """Let another process go on at once.

        Raises:
            StoreUnavailable: Redis gave no answer; the lease runs out.
        """
        await self._runner.one("lease_sink", self.sink, holder, 0)

    async def unfinished(self) -> list[Entry]:
        """What was read and never acknowledged: the holder before this one ended. Registers the sink where it is new.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        await self._register()
        found: list[Entry] = []
        cursor: Any = "0-0"
        while True:
            cursor, entries, *_ = await command(
                self._redis, "XAUTOCLAIM", self._key, self.sink, _CONSUMER, 0, cursor, "COUNT", _ENTRIES_PER_READ
            )
            found.extend(_entry(*each) for each in entries)
            if cursor in {"0-0", b"0-0"}:
                return found

    async def new(self) -> list[Entry]:
        """Wait a moment for entries that nobody has read.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        arguments = ("GROUP", self.sink, _CONSUMER, "COUNT", _ENTRIES_PER_READ, "BLOCK", _WAIT_MS, "STREAMS")
        try:
            reply = await command(self._redis, "XREADGROUP", *arguments, self._key, ">")
        except StoreRefuses as error:
            if "NOGROUP" not in str(error):
                raise
            await self._register()  # Redis has lost its data
            return []
        return [_entry(*each) for _, entries in reply or () for each in entries]

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """These are stored.

        Raises:
            StoreUnavailable: Redis gave no answer; they will be stored again.
        """
        if entries:
            await command(self._redis, "XACK", self._key, self.sink, *(entry.entry_id for entry in entries))

    async def set_aside(self, entry: Entry, reason: str) -> str:
        """The sink refuses this entry for good: keep it as a dead letter, and go on. Returns the letter's id.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        fields = ("entry", entry.entry_id, "e", entry.text, "reason", reason[:1000])
        letter_id = await command(self._redis, "XADD", self._dead, "MAXLEN", "~", _DEAD_LETTERS, "*", *fields)
        await self.acknowledge([entry])
        return str(letter_id.decode())

    async def dead_letters(self, first: str = "-", last: str = "+") -> list[DeadLetter]:
        """Those of this sink, oldest first.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        found = []
        for letter_id, fields in await command(self._redis, "XRANGE", self._dead, first, last):
            entry = Entry(fields[b"entry"].decode(), fields[b"e"].decode())
            found.append(DeadLetter(letter_id.decode(), entry, fields[b"reason"].decode()))
        return found

    async def drop_dead_letter(self, letter_id: str) -> bool:
        """Delete a dead letter. Returns whether it was there.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        return bool(await command(self._redis, "XDEL", self._dead, letter_id))

    async def position(self) -> Position:
        """How far this sink is.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        last = int(await command(self._redis, "HGET", f"{self._prefix}clock", "events") or 0)
        lost, lost_to = await command(self._redis, "HMGET", f"{self._prefix}events:lost", self.sink, f"{self.sink} to")
        group = next((each for each in await self._groups() if each["name"] == self.sink.encode()), None)
        # Without a group, as when Redis has lost its data, everything is still to be read.
        delivered = int(group["last-delivered-id"].partition(b"-")[0]) if group else 0
        unread = last - delivered if delivered else await self._length()
        behind = max(0, unread) + (int(group["pending"]) if group else 0)
        return Position(behind, int(lost or 0), int(lost_to or 0), int(await command(self._redis, "XLEN", self._dead)))

    async def _groups(self) -> list[dict[str, Any]]:
        try:
            groups: list[dict[str, Any]] = await command(self._redis, "XINFO GROUPS", self._key)
        except StoreRefuses:  # there is no stream yet
            return []
        return groups

    async def _length(self) -> int:
        return int(await command(self._redis, "XLEN", self._key))

    async def _register(self) -> None:
        try:
            await command(self._redis, "XGROUP CREATE", self._key, self.sink, "0", "MKSTREAM")
        except StoreRefuses as error:
            if "BUSYGROUP" not in str(error):
                raise


class EventTail:
    """The stream as somebody reads along, without a word to anybody."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis = redis
        self._key = f"{prefix}events"

    async def last_id(self) -> str:
        """Where the stream ends now.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        newest = await command(self._redis, "XREVRANGE", self._key, "+", "-", "COUNT", 1)
        return str(newest[0][0].decode()) if newest else "0-0"

    async def after(self, event_id: str) -> list[Entry]:
        """Entries with events behind this one; waits a moment where there are none.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        arguments = ("COUNT", _ENTRIES_PER_READ, "BLOCK", _WAIT_MS, "STREAMS", self._key, event_id)
        reply = await command(self._redis, "XREAD", *arguments)
        return [_entry(*each) for _, entries in reply or () for each in entries]


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    """What the scripts did not write, or what was damaged, is no reason to read nothing more: its sink refuses it."""
    return Entry(entry_id.decode(), fields.get(b"e", b"").decode("utf-8", "replace"))
