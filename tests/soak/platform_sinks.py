"""Kafka's mock brokers, to which the platform writes in its drill, and who reads there."""

import json
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, TopicPartition

from tests.shared.hook import Told

_BROKERS = """
import signal
from confluent_kafka import Producer
owner = Producer({"test.mock.num.brokers": 1})
print(",".join(f"{b.host}:{b.port}" for b in owner.list_topics(timeout=30).brokers.values()), flush=True)
signal.pause()
"""


class Kafka:
    """librdkafka's own mock brokers in a process of their own, which can be stopped as one stops a machine."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", _BROKERS], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.brokers = self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def stop(self) -> None:
        """No broker answers any more."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """They do again."""
        self._process.send_signal(signal.SIGCONT)


class KafkaReader:
    """Reads topics all along, in a thread: the mock brokers keep only the last megabytes."""

    def __init__(self, brokers: str, topics: list[str]) -> None:
        self.told = Told()
        self._topics = topics
        self._consumer = Consumer({"bootstrap.servers": brokers, "group.id": "drill", "auto.offset.reset": "earliest"})
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        partitions = [
            TopicPartition(topic, number, 0)
            for topic in self._topics
            for number in self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        self._consumer.assign(partitions)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._ended.is_set():
            for message in self._consumer.consume(500, timeout=0.2):
                if message.error() is None:
                    self.told.take(json.loads(message.value() or b""))
