"""What the service has to show, and whether a run showed it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load.results import Result


@dataclass(frozen=True, slots=True)
class Bar:
    """One requirement on the figures of some cases. `read` raises KeyError when the run lacks what it needs."""

    text: str
    read: Callable[[Mapping[str, Result]], float]
    limit: float
    at_least: bool = False  # else at most

    @property
    def limit_text(self) -> str:
        """The limit in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:,g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar, and what the run shows of it."""

    bar: Bar
    value: float

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.bar.limit if self.bar.at_least else self.value <= self.bar.limit


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Every bar that the run has figures for."""
    by_case = {result.case: result for result in results}
    verdicts: list[Verdict] = []
    for bar in BARS:
        try:
            verdicts.append(Verdict(bar, bar.read(by_case)))
        except KeyError:
            continue
    return verdicts


def _figure(case: str, name: str) -> Callable[[Mapping[str, Result]], float]:
    return lambda results: results[case].figures[name]


def _to_naive(case: str, name: str) -> Callable[[Mapping[str, Result]], float]:
    return lambda results: results[case].to_naive[name]


def _to_bare(case: str, name: str) -> Callable[[Mapping[str, Result]], float]:
    return lambda results: results[case].to_bare[name]


def _over_bare(case: str, name: str) -> Callable[[Mapping[str, Result]], float]:
    return lambda results: results[case].figures[name] - results[case].bare[name]


def _nobody_left(results: Mapping[str, Result]) -> float:
    found = [r.spread.get("players_left", (0, r.figures["players_left"]))[1] for r in results.values() if _counts(r)]
    if not found:
        raise KeyError("players_left")
    return max(found)


def _counts(result: Result) -> bool:
    return "players_left" in result.figures


_BURST, _PACED, _WAITING = "burst-5000", "paced-300", "waiting-100000"
_FROM_FILLED = "paced 300 matches/s, ms from the enqueue that fills the match to"

BARS: tuple[Bar, ...] = (
    Bar("burst of 5,000, whole journey: matches/s over naive", _to_naive(_BURST, "matches_per_second"), 10, True),
    Bar("burst of 5,000, whole journey: node CPU, µs per match", _figure(_BURST, "node_cpu_us_per_match"), 400),
    Bar("burst of 5,000, whole journey: Redis CPU, µs per match", _figure(_BURST, "redis_cpu_us_per_match"), 100),
    Bar("players left without a match, most in any burst or paced run", _nobody_left, 0),
    Bar("burst of 5,000 to start_loading: matches/s", _figure("burst-5000-loading", "matches_per_second"), 3000, True),
    Bar(f"{_FROM_FILLED} start_loading: p50", _figure(_PACED, "start_loading_p50_ms"), 5),
    Bar(f"{_FROM_FILLED} start_loading: p99", _figure(_PACED, "start_loading_p99_ms"), 20),
    Bar(f"{_FROM_FILLED} match_found: p99", _figure(_PACED, "match_found_p99_ms"), 50),
    Bar(f"{_FROM_FILLED} match_found: max", _figure(_PACED, "match_found_max_ms"), 250),
    *(
        Bar(
            f"idle enqueued connection, {count:,} of them: KiB over the bare endpoint's",
            _over_bare("memory", f"node_kib_per_connection_at_{count}"),
            8,
        )
        for count in (1_000, 5_000, 10_000)
    ),
    Bar(
        "connections accepted per second over the bare endpoint's",
        _to_bare("accept", "connections_per_second"),
        0.7,
        True,
    ),
    *(
        Bar(f"100,000 waiting, {name}: longest Redis call, ms", _figure(_WAITING, f"{phase}_longest_redis_call_ms"), 5)
        for phase, name in (("waiting", "meanwhile"), ("emptied", "Redis emptied"), ("drain", "slots released"))
    ),
    Bar("100,000 waiting: enqueue to queued, p99 ms", _figure(_WAITING, "queued_p99_ms"), 20),
    Bar(
        "100,000 waiting, slots released: matches/s", _figure(_WAITING, "drained_matches_found_per_second"), 1500, True
    ),
    Bar("100,000 waiting, Redis emptied: seconds until all are back", _figure(_WAITING, "put_back_seconds"), 10),
    Bar("10,000 queued for a minute: enqueue to queued, p99 ms", _figure("queued-10000", "queued_p99_ms"), 20),
    *(
        Bar(
            f"{count:,} registered servers: total CPU per match over one server's",
            _figure(f"servers-{count}", "total_cpu_us_per_match_to_one_server"),
            1.2,
        )
        for count in (1_000, 5_000)
    ),
    Bar(
        "300 modes, nobody there: CPU of two nodes and Redis over one mode's",
        _figure("modes-300", "total_to_one_mode"),
        1.2,
    ),
    Bar(
        "20,000 wait in another pool: p99 to match_found over that without them",
        _figure("pools-20000", "waiting_match_found_p99_ms_to_alone"),
        1.2,
    ),
    Bar("two nodes: total CPU per match over one node's", _figure("nodes-2", "total_cpu_to_one_node"), 1.15),
    Bar("--workers 2: total CPU per match over one node's", _figure("workers-2", "total_cpu_to_one_node"), 1.15),
)
