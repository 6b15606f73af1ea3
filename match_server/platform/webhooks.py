"""Webhooks: an HTTP call for each event, signed as https://www.standardwebhooks.com has it."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import structlog
from standardwebhooks import Webhook as Signer

from match_server.errors import StoreUnavailable
from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.platform.consumer import Consumer, SinkRefuses, SinkUnavailable
from match_server.platform.stream import Entry, SinkStream
from match_server.platform.webhooks_file import NETWORKS_SETTING, Webhook
from match_server.servers.addresses import UrlRefused, check_url
from match_server.setting_types import Network

log = structlog.get_logger(__name__)

CALL_SECONDS = 15.0
GIVE_UP_SECONDS = 86_400.0
_RETRY_SECONDS = (1.0, 600.0)  # the first pause after a failure, and the longest
_CALLS_AT_ONCE = 16
_MOST_UNDER_WAY = 5_000  # events; beyond, nothing more is read
_GONE = 410  # the receiver wants no more of these


class WebhookSink:
    """Makes one call for each event that the webhook is for."""

    def __init__(self, webhook: Webhook, *, networks: Sequence[Network], client: httpx.AsyncClient) -> None:
        self.name = webhook.sink
        self._url = webhook.url
        self._types = frozenset(webhook.types)
        self._signer = Signer(webhook.secret.get_secret_value())
        self._networks = networks
        self._client = client

    def wants(self, event: CloudEvent) -> bool:
        """Whether the webhook is for this type."""
        return not self._types or event.type in self._types

    async def store(self, events: Sequence[CloudEvent]) -> None:
        """See `Sink.store`; makes one attempt for each event."""
        for event in events:
            if self.wants(event):
                await self._call(event)

    async def _call(self, event: CloudEvent) -> None:
        body, now = event.document().decode(), datetime.now(UTC)
        headers = {
            "Content-Type": "application/cloudevents+json",
            "Accept-Encoding": "identity",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(event.id, now, body),
        }
        try:
            async with asyncio.timeout(CALL_SECONDS):
                # Looked up for each call, and called at the address that was checked: a name may move.
                endpoint = await check_url(self._url, self._networks, setting=NETWORKS_SETTING)
                call = self._client.stream(
                    "POST",
                    endpoint.url,
                    content=body,
                    headers=headers | {"Host": endpoint.host},
                    extensions={"sni_hostname": httpx.URL(f"https://{endpoint.host}").host},
                )
                async with call as answer:  # whose body nobody reads, however long it is
                    status = answer.status_code
        except UrlRefused as error:
            raise SinkUnavailable(f"url: {error}") from None
        except TimeoutError:
            raise SinkUnavailable(f"no answer within {CALL_SECONDS:g} s") from None
        except httpx.HTTPError as error:
            raise SinkUnavailable(f"{type(error).__name__}: {error}") from error
        if status == _GONE:
            raise SinkRefuses("410 Gone")
        if not 200 <= status < 300:
            raise SinkUnavailable(f"answered {status}")


@dataclass(slots=True)
class _Delivery:
    """An entry, and which of its events are still to be delivered."""

    entry: Entry
    left: int
    refused: list[str] = field(default_factory=list)  # why, of those that are given up


class WebhookConsumer(Consumer):
    """Delivers the events of one subject in order, and those of many subjects at once.

    A call that fails is made again with growing pauses until its event is a day old. Meanwhile other subjects go on, so
    one event that its receiver does not take holds up nothing but what follows it on its own subject.
    """

    def __init__(
        self,
        sink: WebhookSink,
        stream: SinkStream,
        *,
        source: str,
        holder: str,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        observe: Callable[[str, str, int], None] = lambda _sink, _outcome, _events: None,
        clock: Callable[[], float],
        pauses: tuple[float, float] = _RETRY_SECONDS,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        """`start` runs a task beside this one; `clock` gives the time of day, in seconds since 1970."""
        super().__init__(sink, stream, source=source, holder=holder, observe=observe)
        self._webhook = sink
        self._start = start
        self._clock = clock
        self._pauses = pauses
        self._give_up_seconds = give_up_seconds
        self._waiting: dict[str, deque[tuple[CloudEvent, _Delivery]]] = {}  # by subject, the one under way first
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._under_way = 0
        self._room = asyncio.Event()
        self._chance = random.Random()  # noqa: S311 - spreads retries

    async def _deliver(self, entries: Sequence[Entry]) -> None:
        """Begin to deliver these entries; each is acknowledged once all of its events are delivered."""
        for entry in entries:
            try:
                events = read_entry(entry.entry_id, entry.text, source=self._source)
            except ValueError as error:
                await self._refuse(entry, str(error))
                continue
            wanted = [event for event in events if self._webhook.wants(event)]
            delivery = _Delivery(entry, len(wanted))
            self._under_way += len(wanted)
            for event in wanted:
                self._put(event, delivery)
            if not wanted:
                await self._stream.acknowledge([entry])
        while self._under_way > _MOST_UNDER_WAY:
            self._room.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._room.wait()
            except TimeoutError:
                pass
            if not await self._stream.hold_lease(self._holder):
                raise StoreUnavailable("another process feeds this sink now")

    def _end_of_lease(self) -> None:
        super()._end_of_lease()
        for task in self._tasks:
            task.cancel()
        self._waiting.clear()
        self._under_way = 0

    def _put(self, event: CloudEvent, delivery: _Delivery) -> None:
        if event.subject in self._waiting:
            self._waiting[event.subject].append((event, delivery))
            return
        self._waiting[event.subject] = deque([(event, delivery)])
        task = self._start(self._follow(event.subject))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, subject: str) -> None:
        """Deliver what waits of one subject, one after the other."""
        waiting = self._waiting[subject]
        while waiting:
            event, delivery = waiting[0]
            if reason := await self._attempts(event):
                delivery.refused.append(f"{event.id}: {reason}")
            delivery.left -= 1
            if not delivery.left:
                await self._finish(delivery)
            waiting.popleft()
            self._under_way -= 1
            self._room.set()
        del self._waiting[subject]

    async def _attempts(self, event: CloudEvent) -> str:
        """Call until it is taken. Returns why it never will be, or an empty text."""
        pause, longest = self._pauses
        give_up_at = event.microseconds / 1_000_000 + self._give_up_seconds
        while True:
            try:
                async with self._calls:
                    await self._webhook.store([event])
            except SinkRefuses as error:
                return str(error)
            except SinkUnavailable as error:
                if not self.failing:
                    log.warning("sink_unavailable", sink=self.name, error=str(error))
                self.failing = str(error)
                self._observe(self.name, "failed", 1)
                if self._clock() + pause > give_up_at:
                    return f"given up: {error}"
            else:
                if self.failing:
                    log.info("sink_back", sink=self.name)
                self.failing = ""
                self._observe(self.name, "stored", 1)
                return ""
            await asyncio.sleep(pause * self._chance.uniform(0.5, 1.0))
            pause = min(2 * pause, longest)

    async def _finish(self, delivery: _Delivery) -> None:
        while True:
            try:
                if delivery.refused:
                    await self._refuse(delivery.entry, "; ".join(delivery.refused))
                else:
                    await self._stream.acknowledge([delivery.entry])
            except StoreUnavailable:
                await asyncio.sleep(1.0)
                continue
            return
