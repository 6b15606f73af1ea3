"""Kafka: each event is a message of a topic of its kind, keyed by its subject, so that their order is kept."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from match_server.errors import SettingsError
from match_server.events.cloudevents import CloudEvent
from match_server.platform.consumer import SinkRefuses, SinkUnavailable
from match_server.platform.stream import LEASE_SECONDS

try:
    from confluent_kafka import KafkaError, KafkaException, Message, Producer
except ModuleNotFoundError:
    raise SettingsError("MATCH_KAFKA_BROKERS: needs pip install 'match-server[kafka]'") from None

# A message that is not delivered by then is given up and produced again: the lease has to be renewed meanwhile.
_DELIVERY_SECONDS = LEASE_SECONDS / 2
_KINDS = ("player", "match", "session")  # each has a topic; events of queues and nodes go to that of servers
_NEVER = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_MSG_SIZE, KafkaError.INVALID_RECORD}
_HEADERS = {"content-type": b"application/cloudevents+json; charset=UTF-8"}


class KafkaSink:
    """An idempotent producer, which keeps the order of what it sends, and sends nothing twice by itself."""

    name = "kafka"

    def __init__(self, brokers: str, *, topic_prefix: str) -> None:
        """`brokers` is `host:port,host:port`. Connects when it is first used."""
        self._topic_prefix = topic_prefix
        self._config: dict[str, Any] = {
            "bootstrap.servers": brokers,
            "client.id": "match-server",
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": int(_DELIVERY_SECONDS * 1000),
            "logger": logging.getLogger("kafka"),
        }
        self._producer: Producer | None = None

    async def store(self, events: Sequence[CloudEvent]) -> None:
        """See `Sink.store`."""
        failed = await asyncio.to_thread(self._send, events)
        if not failed:
            return
        error = failed[0]
        if any(each.fatal() for each in failed):
            self._producer = None  # it can go on no more; the next one sends the batch again
        if all(each.code() in _NEVER for each in failed):
            raise SinkRefuses(str(error))
        raise SinkUnavailable(str(error))

    def topic_of(self, event_type: str) -> str:
        """The topic of the events of a type."""
        kind = event_type.partition(".")[0]
        return f"{self._topic_prefix}.{kind if kind in _KINDS else 'server'}"

    def _send(self, events: Sequence[CloudEvent]) -> list[KafkaError]:
        """Send these and wait until each is delivered or given up; returns what went wrong."""
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        try:
            if self._producer is None:
                self._producer = Producer(self._config)
            for event in events:
                self._producer.produce(
                    self.topic_of(event.type),
                    key=event.subject.encode(),
                    value=event.document(),
                    headers=dict(_HEADERS),
                    on_delivery=delivered,
                )
            self._producer.flush()
        except (KafkaException, BufferError) as error:
            cause = error.args[0] if isinstance(error, KafkaException) else None
            failed.append(cause if isinstance(cause, KafkaError) else KafkaError(KafkaError._QUEUE_FULL))
        return failed
