"""The regression guard for CI: ratios within one run, for absolute times say nothing on a shared machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.load.cases import burst, connections
from benchmarks.load.cases.burst import Burst
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures

_PLAYERS, _REPEATS = 2_000, 3
_NAIVE_PLAYERS, _NAIVE_REPEATS = 1_000, 2
_ECHOES, _ECHO_REPEATS = 100, 3


@dataclass(frozen=True, slots=True)
class Limit:
    """A ratio and where it must stay: well beyond the noise of a busy two-core machine, well before a doubling."""

    name: str
    limit: float
    at_least: bool

    def kept(self, value: float) -> bool:
        """Whether the value is on the right side."""
        return value >= self.limit if self.at_least else value <= self.limit


SPEED = Limit("matches/s over the naive variant's", 5.0, at_least=True)
NODE_CPU = Limit("node CPU per match over the bare endpoint's CPU per echoed message", 40.0, at_least=False)
REDIS_CPU = Limit("Redis CPU per match over the bare endpoint's CPU per echoed message", 12.0, at_least=False)


def measure(layout: Layout) -> list[tuple[Limit, float]]:
    """Each limit with what this machine shows now. Takes about half a minute.

    The best of a few repetitions stands for each side: whatever else runs here can only make a repetition worse.
    """
    ours = burst.measure(layout, Burst(count=_PLAYERS), _REPEATS)
    naive = burst.measure(layout, Burst(count=_NAIVE_PLAYERS).naive(), _NAIVE_REPEATS)
    echo = connections.echo(layout, _ECHOES, _ECHO_REPEATS)
    echo_us = _least(echo, "node_cpu_us_per_message")
    return [
        (SPEED, max(row["matches_per_second"] for row in ours) / max(row["matches_per_second"] for row in naive)),
        (NODE_CPU, _least(ours, "node_cpu_us_per_match") / echo_us),
        (REDIS_CPU, _least(ours, "redis_cpu_us_per_match") / echo_us),
    ]


def _least(rows: Sequence[Figures], name: str) -> float:
    return min(row[name] for row in rows)
