"""`match-server check`: whether a file of game modes is right, without a start."""

from pathlib import Path
from typing import Annotated

import typer

from match_server.config import mistakes_in_file
from match_server.console import refuse
from match_server.matching.modes import GameMode
from match_server.matching.modes_file import read_modes_file
from match_server.matching.tables import ModesError


def check(
    file: Annotated[Path, typer.Argument(help="The TOML file of MATCH_CONFIG.", show_default=False)],
) -> None:
    """Check a file of game modes: exit status 2 and one line for each mistake, or what its modes are."""
    mistakes = mistakes_in_file(file)
    modes: tuple[GameMode, ...] = ()
    try:
        modes = read_modes_file(file).game_modes
    except ModesError as error:
        mistakes = [*error.lines, *mistakes]
    if mistakes:
        refuse("\n".join(mistakes))
    for mode in modes:
        typer.echo(f"{mode.name}: {_described(mode)}")


def _described(mode: GameMode) -> str:
    least, most = mode.least_players, mode.players
    size = f"{most} players" if least == most else f"{least} to {most} players"
    if mode.teams:
        size += " in teams of " + ", ".join(f"{players} ({name})" for name, players in mode.teams.items())
    if not mode.by_rules:
        return f"{size}, drawn at random"
    kinds = ", ".join(dict.fromkeys(rule.kind for rule in mode.rules or ())) or "oldest first"
    return f"{size}, by rules ({kinds}), rules_version {mode.rules_version}"
