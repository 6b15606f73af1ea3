"""`python -m benchmarks quality` and `python -m benchmarks matching`."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.matching.bound import clairvoyant_cost
from benchmarks.matching.plain import oldest_nearest
from benchmarks.matching.traces import duels, parties
from match_server.matching.modes import GameMode
from match_server.matching.propose import Proposer
from match_server.matching.tables import parse_modes
from match_server.matching.tickets import Member, Ticket
from match_server.simulate.arrivals import Arrival, read_trace
from match_server.simulate.figures import Figures, figures
from match_server.simulate.run import simulate

PRICES = (1.0, 10.0, 30.0)
STEPS = 7  # of the search for the price at which players wait as long as somewhere else
ATTRIBUTES = {"rating": {"type": "number"}}
DIFFERENCE = {"kind": "difference", "attribute": "rating", "max": 5000}
WINDOWS = [{"after_seconds": 10, "max": 150}, {"after_seconds": 30, "max": 400}]


def quality(
    seeds: Annotated[int, typer.Option(min=1, help="How many traces of each kind.")] = 2,
    trace: Annotated[list[Path] | None, typer.Option(help="Traces of single players from files, instead.")] = None,
    party_trace: Annotated[list[Path] | None, typer.Option(help="Traces with parties from files, instead.")] = None,
) -> None:
    """How good the matches are: duels against the clairvoyant optimum and a plain matcher, and teams of four."""
    for name, arrivals in _duels(seeds, trace):
        for price in PRICES:
            cost, found = _cost(arrivals, price)
            bound = clairvoyant_cost(arrivals, price)
            typer.echo(
                f"{name}: λ {price:g}: difference {found['difference']['mean']:.1f},"
                f" wait {found['waiting_seconds']['mean']:.1f} s, cost {cost:.1f},"
                f" optimum {bound:.1f}, ratio {cost / bound:.3f}"
            )
        plain = oldest_nearest(arrivals)
        wait = sum(sum(pair.waits) for pair in plain) / len(plain) / 2
        difference = sum(pair.difference for pair in plain) / len(plain)
        found = _at_wait(arrivals, _duel, wait)
        share = found["difference"]["mean"] / difference
        typer.echo(
            f"{name}: oldest-nearest waits {wait:.1f} s for {difference:.1f}; at"
            f" {found['waiting_seconds']['mean']:.1f} s this is {found['difference']['mean']:.1f}: {share:.2f} of it"
        )
    for name, arrivals in _parties(seeds, party_trace):
        for price in (3.0, 6.0, 14.0):
            found = figures(simulate(_fours(price), arrivals))
            waits, team = found["waiting_seconds"], found["team_difference"]
            typer.echo(
                f"{name}: λ {price:g}: wait {waits['mean']:.1f} s, p95 {waits['p95']:.1f}, longest {waits['max']:.0f};"
                f" difference {found['difference']['mean']:.0f}, p95 {found['difference']['p95']:.0f};"
                f" team difference {team['mean']:.1f}, p95 {team['p95']:.1f}"
            )


def matching(
    waiting: Annotated[int, typer.Option(min=100, help="Tickets that wait.")] = 10_000,
    changes: Annotated[int, typer.Option(min=1, help="Tickets that come before a later tick.")] = 100,
) -> None:
    """How long a tick takes: all tickets new, then a few among many that cannot be matched; and its longest slice."""
    for mode, make in ((_ranked_duel(), _rated), (_ranked_5v5(), _party), (_royale(), _any)):
        chance = random.Random(1)  # noqa: S311 - a benchmark, to be repeated
        proposer = Proposer(mode)
        for number in range(waiting):
            proposer.add(make(number, chance))
        first, found, longest = _timed(proposer, 100.0)
        typer.echo(
            f"{mode.name}: {waiting} new tickets: {first * 1000:.0f} ms, {found} matches,"
            f" longest slice {longest * 1000:.1f} ms"
        )
    mode = _ranked_duel()
    proposer = Proposer(mode)
    for number in range(waiting):  # each further from the next than any window
        proposer.add(Ticket(f"t{number}", (Member(f"p{number}", {"rating": number * 1000.0}),), 99.0))
    list(proposer.tick(100.0))
    for number in range(changes):
        proposer.add(Ticket(f"n{number}", (Member(f"q{number}", {"rating": number * 1000.0 + 500}),), 100.0))
    again, _, longest = _timed(proposer, 100.1)
    typer.echo(
        f"{mode.name}: {changes} changes among {waiting}: {again * 1000:.1f} ms, longest slice {longest * 1000:.1f} ms"
    )


def _duels(seeds: int, files: Sequence[Path] | None) -> list[tuple[str, list[Arrival]]]:
    if files:
        return [(file.stem, read_trace(file, _duel(1.0))) for file in files]
    kinds = ((20, 60), (120, 15))
    return [
        (f"{rate} a minute, seed {seed}", duels(per_minute=rate, minutes=minutes, seed=seed))
        for rate, minutes in kinds
        for seed in range(1, seeds + 1)
    ]


def _parties(seeds: int, files: Sequence[Path] | None) -> list[tuple[str, list[Arrival]]]:
    if files:
        return [(file.stem, read_trace(file, _fours(1.0))) for file in files]
    return [
        (f"parties, {rate} a minute, seed {seed}", parties(per_minute=rate, minutes=minutes, seed=seed))
        for rate, minutes in ((60, 30), (300, 10))
        for seed in range(1, seeds + 1)
    ]


def _cost(arrivals: Sequence[Arrival], price: float) -> tuple[float, Figures]:
    found = figures(simulate(_duel(price), arrivals))
    return found["difference"]["mean"] + 2 * price * found["waiting_seconds"]["mean"], found


def _at_wait(arrivals: Sequence[Arrival], mode: Callable[[float], GameMode], wait: float) -> Figures:
    """The figures at the price at which players wait about so long."""
    low, high = 0.1, 1000.0
    found: Figures = {}
    for _ in range(STEPS):
        price = (low * high) ** 0.5
        found = figures(simulate(mode(price), arrivals))
        low, high = (price, high) if found["waiting_seconds"]["mean"] > wait else (low, price)
    return found


def _mode(**table: Any) -> GameMode:
    name = table.pop("name", "mode")
    return parse_modes({name: table}, ATTRIBUTES)[0]


def _duel(price: float) -> GameMode:
    return _mode(players=2, rules=[DIFFERENCE], second_is_worth={"rating": price})


def _fours(price: float) -> GameMode:
    rules = [DIFFERENCE, DIFFERENCE | {"kind": "team_difference"}]
    return _mode(teams={"a": 4, "b": 4}, party_max=4, rules=rules, second_is_worth={"rating": price})


def _ranked_duel() -> GameMode:
    return _mode(name="duel", players=2, rules=[DIFFERENCE | {"max": 50, "widen": WINDOWS}])


def _ranked_5v5() -> GameMode:
    rules = [
        DIFFERENCE | {"max": 200, "widen_per_second": 10, "up_to": 800},
        DIFFERENCE | {"kind": "team_difference", "max": 60, "widen_per_second": 4, "up_to": 250},
        {"kind": "party_balance", "max": 1, "optional_after_seconds": 60},
    ]
    return _mode(name="5v5", teams={"blue": 5, "red": 5}, party_max=5, rules=rules)


def _royale() -> GameMode:
    return _mode(name="royale", players={"min": 20, "max": 60, "fill_seconds": 30}, party_max=4)


def _rated(number: int, chance: random.Random) -> Ticket:
    return Ticket(f"t{number}", (Member(f"p{number}", {"rating": chance.gauss(1500, 300)}),), 100 - 5 * chance.random())


def _party(number: int, chance: random.Random) -> Ticket:
    base = chance.gauss(1500, 300)
    size = chance.choices((1, 2, 3, 4, 5), (60, 20, 10, 5, 5))[0]
    members = tuple(Member(f"p{number}.{n}", {"rating": base + chance.gauss(0, 100)}) for n in range(size))
    return Ticket(f"t{number}", members, 100 - 10 * chance.random())


def _any(number: int, chance: random.Random) -> Ticket:
    size = chance.choice((1, 1, 2, 3, 4))
    return Ticket(f"t{number}", tuple(Member(f"p{number}.{n}") for n in range(size)), 100 - 20 * chance.random())


def _timed(proposer: Proposer, now: float) -> tuple[float, int, float]:
    """How long a tick took, how many matches it found, and its longest slice."""
    started = last = time.perf_counter()
    longest, found = 0.0, 0
    for proposal in proposer.tick(now):
        found += proposal is not None
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    return time.perf_counter() - started, found, longest
