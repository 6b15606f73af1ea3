"""`python -m benchmarks rooms`: rooms of `dedicated-server-stub` beside Colyseus' on the same cores."""

import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn, get_args

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load.cores import here
from benchmarks.load.figures import Figures, medians, ratios, spreads
from benchmarks.load.machine import machine
from benchmarks.load.processes import BenchmarkError, raise_descriptor_limit
from benchmarks.load.report import shown
from benchmarks.rooms.measure import Case, Variant, measure
from benchmarks.rooms.node_packages import SOURCES, install, missing

CASES = (
    Case(name="one-room", rooms=1, players=100, move_hz=20),
    Case(name="small-rooms", rooms=25, players=8, move_hz=20),
)
VARIANTS: tuple[Variant, ...] = get_args(Variant)
_REFERENCE: Variant = "colyseus"
_NODE_VERSION = ("node", "--version")


def rooms(
    only: Annotated[list[str] | None, typer.Option("--only", metavar="CASE", help="Run this case alone.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions; the median counts.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Each case once, small and short.")] = False,
) -> None:
    """Rooms beside Colyseus: CPU, bytes and latency with the same moves, ticks and players. Needs node and npm.

    The first run installs Colyseus into ~/.cache/match-server-benchmarks. Without node or npm nothing is measured.
    """
    unknown = set(only or ()) - {case.name for case in CASES}
    if unknown:
        names = ", ".join(case.name for case in CASES)
        raise typer.BadParameter(f"no such case: {', '.join(sorted(unknown))}; there are {names}", param_hint="--only")
    if lacking := missing():
        typer.echo(f"skipped: no {' and no '.join(lacking)} here, and Colyseus needs it")
        return
    signal.signal(signal.SIGTERM, _interrupt)
    raise_descriptor_limit()
    try:
        modules = install()
        typer.echo(_origin())
        for case in CASES:
            if not only or case.name in only:
                played = _smaller(case) if quick else case
                _show(played, _beside_each_other(played, 1 if quick else repeat, modules))
    except BenchmarkError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        raise typer.Exit(1) from None


def _smaller(case: Case) -> Case:
    players, rooms = min(case.players, 10), min(case.rooms, 5)
    return replace(case, players=players, rooms=rooms, seconds=1.0, warm_up_seconds=0.5)


def _beside_each_other(case: Case, repeat: int, modules: Path) -> dict[Variant, list[Figures]]:
    """The variants by turns, so that what else this machine does meets all of them."""
    layout = here()
    found: dict[Variant, list[Figures]] = {variant: [] for variant in VARIANTS}
    for _ in range(repeat):
        for variant in VARIANTS:
            found[variant].append(measure(case, variant, layout, modules))
    return found


def _show(case: Case, found: dict[Variant, list[Figures]]) -> None:
    """Print a case: the medians, and the medians of each repetition's ratios to Colyseus."""
    console = Console()
    if not console.is_terminal:
        console.width = 150
    title = (
        f"{case.name}: {case.rooms} x {case.players} players, {case.tick_hz:g} ticks and {case.move_hz:g} moves a "
        f"second; {len(found[_REFERENCE])} x {case.seconds:g} s"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for variant in VARIANTS:
        table.add_column(variant, justify="right", no_wrap=True)
        if variant != _REFERENCE:
            table.add_column("of Colyseus'", justify="right", no_wrap=True)
    middle = {variant: medians(rows) for variant, rows in found.items()}
    to_reference = {
        variant: [ratios(ours, theirs) for ours, theirs in zip(rows, found[_REFERENCE], strict=True)]
        for variant, rows in found.items()
    }
    for name in middle["protobuf"]:
        cells = []
        for variant in VARIANTS:
            cells.append(shown(middle[variant].get(name)))
            if variant != _REFERENCE:
                cells.append(_ratio(to_reference[variant], name))
        table.add_row(name, *cells)
    console.print(table)


def _ratio(rows: list[Figures], name: str) -> str:
    if not any(name in row for row in rows):
        return ""
    least, most = spreads(rows)[name]
    return f"{shown(medians(rows)[name])} ({shown(least)} … {shown(most)})"


def _origin() -> str:
    """What it runs on: the machine, node, Colyseus."""
    said = subprocess.run(_NODE_VERSION, capture_output=True, text=True, check=True).stdout
    packages = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))["dependencies"]
    hardware = ", ".join(f"{name} {value}" for name, value in machine().items())
    software = ", ".join(f"{name} {version}" for name, version in packages.items())
    layout = here()
    cores = f"server on {sorted(layout.node(0))}, players on {sorted(layout.load)}"
    return f"{hardware}; node {said.strip()}, {software}; cores: {cores}"


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt  # every child is stopped on the way out
