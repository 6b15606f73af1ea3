"""The guard's arithmetic; `python -m benchmarks guard` runs it on real processes."""

import pytest

from benchmarks.load import guard
from benchmarks.load.cases.burst import Burst
from benchmarks.load.cores import here


def test_limits_hold_on_the_right_side() -> None:
    assert guard.SPEED.kept(guard.SPEED.limit)
    assert not guard.SPEED.kept(guard.SPEED.limit - 0.1)
    assert guard.NODE_CPU.kept(guard.NODE_CPU.limit)
    assert not guard.NODE_CPU.kept(guard.NODE_CPU.limit + 0.1)


def test_the_best_repetition_stands_for_each_side(monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(_layout: object, burst: Burst, _repeat: int) -> list[dict[str, float]]:
        if burst.variant == "naive":
            return [{"matches_per_second": 100.0}, {"matches_per_second": 50.0}]
        rows = ((900.0, 700.0, 90.0), (1000.0, 400.0, 100.0))
        names = ("matches_per_second", "node_cpu_us_per_match", "redis_cpu_us_per_match")
        return [dict(zip(names, row, strict=True)) for row in rows]

    echoes = [{"node_cpu_us_per_message": 20.0}, {"node_cpu_us_per_message": 25.0}]
    monkeypatch.setattr("benchmarks.load.cases.burst.measure", burst)
    monkeypatch.setattr("benchmarks.load.cases.connections.echo", lambda *_: echoes)
    assert [value for _, value in guard.measure(here())] == [10.0, 20.0, 4.5]
