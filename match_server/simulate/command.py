"""The command `match-server simulate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from match_server.console import refuse
from match_server.matching.modes import GameMode
from match_server.matching.modes_file import read_modes_file
from match_server.matching.tables import ModesError
from match_server.simulate.arrivals import Arrival, TraceError, made_up, read_trace
from match_server.simulate.figures import figures
from match_server.simulate.output import as_json, as_matches, as_page, as_text

FileOption = Annotated[Path | None, typer.Option(dir_okay=False, show_default=False)]


def simulate_command(
    file: Annotated[Path, typer.Argument(help="The TOML file of MATCH_CONFIG.", show_default=False)],
    mode: Annotated[str, typer.Option(help="The game mode to try.")],
    players_per_minute: Annotated[float, typer.Option(min=0.1, max=100_000, help="How many players arrive.")] = 60,
    minutes: Annotated[float, typer.Option(min=0.1, max=10_000, help="For how long.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the arrivals; the same seed gives the same output.")] = 1,
    trace: Annotated[
        Path | None, typer.Option(help="Arrivals from a CSV file instead: at_seconds,player_id,party_id,attribute…")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Another file with the mode, tried on the same arrivals.")
    ] = None,
    matches: Annotated[Path | None, typer.Option(help="Write a CSV file with a line per match and player.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with curves.")] = None,
) -> None:
    """Try the rules of a game mode on arriving players, without a server: waiting times, differences, who is left."""
    from match_server.simulate.run import simulate  # noqa: PLC0415 - numpy takes long to load, and no node needs it here

    modes = [_mode(path, mode) for path in (file, compare) if path is not None]
    for option, path in {"--matches": matches, "--json": json, "--html": html}.items():
        if path is not None:
            _refuse_unwritable(option, path)
    outcomes = [
        simulate(
            chosen,
            _arrivals(chosen, modes, trace, players_per_minute, minutes, seed),
            minutes=None if trace else minutes,
        )
        for chosen in modes
    ]
    results = [figures(outcome) for outcome in outcomes]
    for of in results:
        typer.echo(as_text(of), nl=False)
    if matches is not None:
        _write(matches, as_matches(outcomes[0]))
    if json is not None:
        _write(json, as_json(results))
    if html is not None:
        _write(html, as_page(outcomes, results))


def _mode(file: Path, name: str) -> GameMode:
    try:
        modes = read_modes_file(file)
    except ModesError as error:
        refuse(str(error))
    found = modes.game_mode(name)
    if found is None:
        refuse(f"--mode: expected one of {', '.join(mode.name for mode in modes.game_modes)} of {file}, not {name}")
    if not found.by_rules:
        refuse(f"--mode: {name} is drawn at random; expected a mode with rules, teams, roles or parties")
    return found


def _arrivals(
    mode: GameMode, modes: Sequence[GameMode], trace: Path | None, players_per_minute: float, minutes: float, seed: int
) -> Sequence[Arrival]:
    if trace is None:
        return list(made_up(mode, players_per_minute=players_per_minute, minutes=minutes, seed=seed))
    try:
        return read_trace(trace, mode, also={name for each in modes for name in each.attributes})
    except TraceError as error:
        refuse(f"--trace: {error}")


def _refuse_unwritable(option: str, path: Path) -> None:
    """Before the run, which may take a while. What stands in the file stays until then."""
    try:
        path.open("ab").close()
    except OSError as error:
        refuse(f"{option}: {path}: {error.strerror}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        refuse(f"{path}: {error.strerror}")
