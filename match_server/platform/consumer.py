"""Feeds one sink from the stream: in order, each entry acknowledged once it is stored, by one process at a time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from match_server.errors import StoreRefuses, StoreUnavailable
from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.platform.stream import LEASE_SECONDS, Entry, SinkStream

log = structlog.get_logger(__name__)

_RETRY_SECONDS = (0.2, 5.0)  # the first pause after a failure, and the longest
_STANDBY_SECONDS = LEASE_SECONDS / 5
_UNTRIED = "not tried yet"


class SinkUnavailable(Exception):
    """The sink cannot store now; it is tried again."""


class SinkRefuses(Exception):
    """The sink will never store this; the text says why."""


class Sink(Protocol):
    """Where events go."""

    name: str

    async def store(self, events: Sequence[CloudEvent]) -> None:
        """Store these events, in order. They may have been stored before.

        Raises:
            SinkUnavailable: not now.
            SinkRefuses: never; of several events at least one.
        """


class Consumer:
    """`run` feeds one sink until it is cancelled."""

    def __init__(
        self,
        sink: Sink,
        stream: SinkStream,
        *,
        source: str,
        holder: str,
        observe: Callable[[str, str, int], None] = lambda _sink, _outcome, _events: None,
    ) -> None:
        """`holder` names this process; `observe` gets the sink, what became of events, and how many they were."""
        self._sink = sink
        self._stream = stream
        self._source = source
        self._holder = holder
        self._observe = observe
        self._active = False
        self.name = sink.name
        self.failing = _UNTRIED  # why the sink does not store now

    async def run(self) -> None:
        """Take the lease when nobody has it, and feed the sink as long as it is held."""
        try:
            while True:
                try:
                    await self._turn()
                except StoreUnavailable as error:
                    self._put_off(error)
                    self._end_of_lease()
                    await asyncio.sleep(_STANDBY_SECONDS)
        finally:
            if self._active:
                await self._give_back()

    async def _turn(self) -> None:
        if not await self._stream.hold_lease(self._holder):
            self._end_of_lease()
            self.failing = ""  # another process feeds it
            await asyncio.sleep(_STANDBY_SECONDS)
            return
        if not self._active:
            await self._store([])  # a history makes its tables; a sink that is away is told of before the first event
            unfinished = await self._stream.unfinished()
            log.info("sink_taken", sink=self._sink.name, unfinished=len(unfinished))
            await self._deliver(unfinished)
            self._active = True
        await self._deliver(await self._stream.new())

    def _put_off(self, error: StoreUnavailable) -> None:
        if isinstance(error, StoreRefuses) and self.failing in {"", _UNTRIED}:  # waiting does not help
            log.warning("sink_unavailable", sink=self.name, error=str(error))
            self.failing = str(error)
        log.debug("events_put_off", sink=self.name, cause=str(error))

    def _end_of_lease(self) -> None:
        """Another process may feed the sink now. What is not acknowledged is read again with the next lease."""
        self._active = False

    async def _give_back(self) -> None:
        try:
            await self._stream.release_lease(self._holder)
        except StoreUnavailable:
            log.debug("lease_runs_out", sink=self._sink.name)

    async def _deliver(self, entries: Sequence[Entry]) -> None:
        """Store these entries; those that the sink refuses become dead letters."""
        if not entries:
            return
        try:
            events = [
                event for entry in entries for event in read_entry(entry.entry_id, entry.text, source=self._source)
            ]
            await self._store(events)
        except (SinkRefuses, ValueError) as error:
            if len(entries) == 1:
                await self._refuse(entries[0], str(error))
                return
            middle = len(entries) // 2
            await self._deliver(entries[:middle])
            await self._deliver(entries[middle:])
            return
        await self._stream.acknowledge(entries)
        self._observe(self._sink.name, "stored", len(events))

    async def _store(self, events: Sequence[CloudEvent]) -> None:
        """Store, however long that takes. Raises SinkRefuses; StoreUnavailable when the lease is lost meanwhile."""
        pause, longest = _RETRY_SECONDS
        while True:
            try:
                await self._sink.store(events)
            except SinkUnavailable as error:
                if self.failing in {"", _UNTRIED}:
                    log.warning("sink_unavailable", sink=self._sink.name, error=str(error))
                self.failing = str(error)
                self._observe(self._sink.name, "failed", len(events))
            else:
                if self.failing not in {"", _UNTRIED}:
                    log.info("sink_back", sink=self._sink.name)
                self.failing = ""
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest, LEASE_SECONDS / 2)
            if not await self._stream.hold_lease(self._holder):
                raise StoreUnavailable("another process feeds this sink now")

    async def _refuse(self, entry: Entry, reason: str) -> None:
        letter_id = await self._stream.set_aside(entry, reason)
        log.error("dead_letter", sink=self._sink.name, id=letter_id, entry=entry.entry_id, reason=reason)
        self._observe(self._sink.name, "refused", 1)
