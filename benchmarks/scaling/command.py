"""`python -m benchmarks scaling`: the model at several sizes, and beside a real run."""

import math
import time
from statistics import fmean
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load.cases.burst import warm_up
from benchmarks.load.cases.paced import latencies
from benchmarks.load.cores import here
from benchmarks.load.figures import percentile
from benchmarks.load.processes import raise_descriptor_limit
from benchmarks.load.schedule import poisson_arrivals
from benchmarks.load.stack import Stack, registered
from benchmarks.scaling.model import Costs, Plan, simulate

# docs/scaling.md, "Measured costs": those of a match at 100 matches a second, the dearest.
COSTS = Costs(
    node_per_match=2.9e-3,
    redis_per_match=0.74e-3,
    node_per_connection=26e-6,
    redis_per_connection=1.3e-6,
    node_idle=9e-3,
    redis_idle=2.7e-3,
)
_PER_NODE, _PER_POOL = 10_000, 320_000  # players; docs/scaling.md
_BETWEEN_JOURNEYS = 600.0
_LOADING = (5.0, 20.0)
_SESSION_SECONDS = 600.0
_SIZES = (10_000, 100_000, 1_000_000)
_CHECK_RATES, _CHECK_SECONDS, _CHECK_SESSION_SECONDS = (50.0, 100.0, 200.0), 10.0, 2.0
_POLL_SECONDS = 0.2


def scaling(
    seconds: Annotated[float, typer.Option(min=10, help="Simulated, at each size.")] = 120.0,
    seed: Annotated[int, typer.Option(help="Of the chances.")] = 1,
    check: Annotated[bool, typer.Option("--check", help="Hold the model beside real runs on this machine.")] = False,
) -> None:
    """Simulate 10,000 to 1,000,000 connected players: waiting times, and how many slots the fleet needs."""
    Console().print(_beside_real_runs(seed) if check else _sizes(seconds, seed))


def plan_for(players: int, *, seconds: float, seed: int = 1) -> Plan:
    """The deployment that docs/scaling.md names for so many connected players."""
    return Plan(
        costs=COSTS,
        matches_per_second=players / _BETWEEN_JOURNEYS / 2,
        connected=players,
        nodes=math.ceil(players / _PER_NODE) + 1,
        pools=math.ceil(players / _PER_POOL),
        loading=_LOADING,
        session_seconds=_SESSION_SECONDS,
        seconds=seconds,
        warm_up_seconds=2 * _LOADING[1],
        seed=seed,
    )


def _sizes(seconds: float, seed: int) -> Table:
    table = Table(title="connected players", title_justify="left")
    table.add_column("")
    columns: list[list[str]] = []
    for players in _SIZES:
        table.add_column(f"{players:,}", justify="right")
        plan = plan_for(players, seconds=seconds, seed=seed)
        found = simulate(plan)
        columns.append(
            [
                f"{plan.nodes} / {plan.pools}",
                f"{plan.matches_per_second:.1f}",
                f"{plan.node_share:.0%} / {plan.redis_share:.0%}",
                _ends(found.for_company),
                _ends(found.to_start),
                _ends(found.to_found),
                f"{fmean(found.slots_taken):,.0f}",
                f"{fleet_for(fmean(found.slots_taken)):,}",
            ]
        )
    names = (
        "nodes / pools",
        "matches a second",
        "a node's core / a Redis' core",
        "wait for company, ms: p50 / p99",
        "to start_loading, ms: p50 / p99",
        "loaded to match_found, ms: p50 / p99",
        "slots taken, mean",
        "slots of the fleet",
    )
    for index, name in enumerate(names):
        table.add_row(name, *(column[index] for column in columns))
    return table


def fleet_for(mean_taken: float) -> int:
    """Slots with which about one match in a thousand has to wait for one.

    Without a limit the slots that are taken at a time are Poisson distributed (M/G/∞), near enough normal with the same
    variance; 3.09 is the normal distribution's 99.9 % point.
    """
    return math.ceil(mean_taken + 3.09 * math.sqrt(mean_taken))


def _beside_real_runs(seed: int) -> Table:
    raise_descriptor_limit()
    table = Table(title="real run / model", title_justify="left")
    for heading in ("matches a second", "to start_loading, ms: p50", "p99", "slots taken, mean", "node's core"):
        table.add_column(heading, justify="right")
    for rate in _CHECK_RATES:
        real, costs, taken, share = _real_run(rate)
        plan = Plan(
            costs=costs,
            matches_per_second=rate,
            session_seconds=_CHECK_SESSION_SECONDS,
            seconds=_CHECK_SECONDS,
            warm_up_seconds=_CHECK_SESSION_SECONDS,
            seed=seed,
        )
        model = simulate(plan)
        table.add_row(
            f"{rate:g}",
            f"{real['start_loading_p50_ms']:.1f} / {1000 * percentile(model.to_start, 0.5):.1f}",
            f"{real['start_loading_p99_ms']:.1f} / {1000 * percentile(model.to_start, 0.99):.1f}",
            f"{taken:.0f} / {fmean(model.slots_taken):.0f}",
            f"{share:.0%} / {plan.node_share:.0%}",
        )
    return table


def _real_run(rate: float) -> tuple[dict[str, float], Costs, float, float]:
    """Latencies, what a match cost, the slots that were taken on average, and the share of the node's core."""
    at = poisson_arrivals(matches_per_second=rate, seconds=_CHECK_SECONDS, players=2, seed=20)
    with Stack(here()) as stack:
        stack.start_server(capacity=int(10 * rate) + 1000, session_seconds=_CHECK_SESSION_SECONDS)
        warm_up(stack)
        load = stack.generator
        load.connect(stack.addresses, len(at), stack.game_mode)
        time.sleep(_CHECK_SESSION_SECONDS + 1)  # the warm-up's sessions end
        before, began, taken = stack.spent(), time.monotonic(), []
        load.tell("run", count=len(at), goal="match_found", load_at_once=True, deadline_seconds=60, at=at)
        while (passed := time.monotonic() - began) < _CHECK_SECONDS:
            if passed > _CHECK_SESSION_SECONDS:
                taken.append(sum(server["active"] + server["reserved"] for server in registered(stack)))
            time.sleep(_POLL_SECONDS)
        load.answer(60)
        used, seconds = stack.spent().since(before), time.monotonic() - began
        real = latencies(load.journeys())
    matches = len(at) / 2
    costs = Costs(node_per_match=used["node-0"] / matches, redis_per_match=used["redis"] / matches)
    return real, costs, fmean(taken), used["node-0"] / seconds


def _ends(values: list[float]) -> str:
    return f"{1000 * percentile(values, 0.5):,.1f} / {1000 * percentile(values, 0.99):,.1f}"
