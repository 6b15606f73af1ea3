"""What processes hold: memory and descriptors, from the kernel; connections and waiting messages, from /metrics."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

WARM_UP_SECONDS = 20.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    at: float
    resident_bytes: int
    descriptors: int


@dataclass(slots=True)
class Life:
    """One process from its start to its end, in samples; there is one at least."""

    samples: list[Sample]

    @property
    def seconds(self) -> float:
        """How long it was watched."""
        return self.samples[-1].at - self.samples[0].at

    @property
    def warm(self) -> Sample:
        """The first sample after the warm-up; a third of a life that was shorter."""
        warm_at = self.samples[0].at + min(WARM_UP_SECONDS, self.seconds / 3)
        return next(sample for sample in self.samples if sample.at >= warm_at)


@dataclass(slots=True)
class Vitals:
    """The lives of processes, by name."""

    _lives: dict[str, dict[int, Life]] = field(default_factory=dict)

    def sample(self, name: str, pid: int) -> None:
        """Look at a process; one that has just ended has no more to show."""
        try:
            now = read(pid)
        except OSError:
            return
        lives = self._lives.setdefault(name, {})
        if pid in lives:
            lives[pid].samples.append(now)
        else:
            lives[pid] = Life([now])

    def lives(self, name: str) -> list[Life]:
        """All of them, the present one last."""
        return list(self._lives.get(name, {}).values())

    def longest(self, name: str) -> Life:
        """The life that was watched for the longest time."""
        return max(self.lives(name), key=lambda life: life.seconds)


def read(pid: int) -> Sample:
    """Read one process.

    Raises:
        OSError: it has ended.
    """
    folder = _PROC / str(pid)
    pages = int((folder / "statm").read_text().split()[1])
    return Sample(time.monotonic(), pages * _PAGE_BYTES, len(os.listdir(folder / "fd")))  # noqa: PTH208 - names alone


@dataclass(frozen=True, slots=True)
class Inside:
    """What a node says of itself."""

    connections: int
    waiting_messages: int


async def ask_node(http: httpx.AsyncClient, url: str) -> Inside:
    """Read a node's metrics.

    Raises:
        httpx.HTTPError: it did not answer.
    """
    values = await metrics_of(http, url)
    return Inside(int(values["match_connections"]), int(values.get("match_mailbox_depth", 0)))


async def metrics_of(http: httpx.AsyncClient, url: str) -> dict[str, float]:
    """Read a process's metrics, each summed up over its labels.

    Raises:
        httpx.HTTPError: it did not answer.
    """
    answer = await http.get(f"{url}/metrics")
    return dict(_sums(answer.raise_for_status().text))


def _sums(metrics: str) -> Iterator[tuple[str, float]]:
    """Each metric, over all its labels."""
    for family in text_string_to_metric_families(metrics):
        yield family.name, sum(sample.value for sample in family.samples)
