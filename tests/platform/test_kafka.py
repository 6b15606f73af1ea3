"""Kafka gets each event at least once, in order per subject. The broker is librdkafka's own mock."""

import asyncio
import importlib
import json
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from match_server.errors import SettingsError
from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.platform.consumer import SinkRefuses, SinkUnavailable
from tests.store.pool import Pool

confluent_kafka = pytest.importorskip("confluent_kafka", reason="pip install confluent-kafka")

from match_server.platform.kafka import KafkaSink  # noqa: E402 - only where its library is installed


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """Three mock brokers, which live as long as their producer."""
    owner = confluent_kafka.Producer({"test.mock.num.brokers": 3})
    known = owner.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in known)
    del owner


def read(brokers: str, topic: str, count: int) -> list[Any]:
    """The first messages of a topic."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": brokers, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in partitions])
        found: list[Any] = []
        while len(found) < count:
            message = consumer.poll(15)
            assert message is not None, f"{len(found)} of {count} have come"
            assert message.error() is None, message.error()
            found.append(message)
        assert consumer.poll(0.3) is None, "no more than that"
        return found
    finally:
        consumer.close()


def story(pool: Pool) -> list[CloudEvent]:
    pool.register("s1", capacity=20)
    for number in range(10):
        order = pool.found(f"a{number}", f"b{number}")
        pool.end("s1", order.loading_session_id)
    pool.do(pool.operators.pause("duel", paused=True))
    return [event for entry in pool.entries() for event in read_entry(*entry, source="/match-server/test")]


def test_each_topic_has_its_events_in_order_per_subject(pool: Pool, brokers: str, prefix: str) -> None:
    events = story(pool)
    topics = f"t{prefix.strip('{}:')}"
    sink = KafkaSink(brokers, topic_prefix=topics)

    async def send() -> None:
        for start in range(0, len(events), 7):
            await sink.store(events[start : start + 7])

    asyncio.run(send())
    for kind in ("player", "match", "session", "server"):
        expected = [event for event in events if sink.topic_of(event.type) == f"{topics}.{kind}"]
        assert expected
        messages = read(brokers, f"{topics}.{kind}", len(expected))
        by_key: dict[str, list[str]] = {}
        for message in messages:
            document = json.loads(message.value())
            assert message.key().decode() == document["subject"]
            assert dict(message.headers())["content-type"].startswith(b"application/cloudevents+json")
            by_key.setdefault(document["subject"], []).append(document["id"])
        wanted: dict[str, list[str]] = {}
        for event in expected:
            wanted.setdefault(event.subject, []).append(event.id)
        assert by_key == wanted


def test_brokers_that_are_away_are_asked_again(pool: Pool) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        sink = KafkaSink(f"127.0.0.1:{nobody.getsockname()[1]}", topic_prefix="t")
        pool.enqueue("ann")
        events = [event for entry in pool.entries() for event in read_entry(*entry, source="/x")]

        async def send() -> None:
            async with asyncio.timeout(5):  # the lease of the sink
                with pytest.raises(SinkUnavailable):
                    await sink.store(events)

        asyncio.run(send())


def test_a_message_that_is_too_large_is_refused_for_good(brokers: str) -> None:
    result = json.dumps("x" * 2_000_000)
    events = read_entry("5-1", f"session.ended\ts-1\teu\treported\t{result}", source="/x")
    with pytest.raises(SinkRefuses):
        asyncio.run(KafkaSink(brokers, topic_prefix="large").store(events))


def test_without_its_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    monkeypatch.delitem(sys.modules, "match_server.platform.kafka")
    with pytest.raises(SettingsError, match=r"pip install 'match-server\[kafka\]'"):
        importlib.import_module("match_server.platform.kafka")
