"""Commands that `dev` and `demo` print: each works as it is printed, in the shell and the folder that they ran in."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from urllib.parse import urlencode

from match_server.config import Settings, variable
from match_server.local_set import LocalSet
from match_server.matching.attributes import InvalidAttributes, read_attributes
from match_server.matching.modes import GameMode

_PLAYERS = 10  # of the run that is proposed, at least


def shown_command(program: str) -> str:
    """How to start one of our programs, `test-client` say: by its name, its path, or as a module of this Python."""
    beside = Path(sys.argv[0]).with_name(program)
    if not beside.is_file():  # this one was started as `python -m match_server`
        return f"{_shown(sys.executable)} -m {program.replace('-', '_')}"
    on_path = shutil.which(program)
    if on_path and Path(on_path).samefile(beside):
        return program
    return _shown(beside)


def what_runs(settings: Settings, local: LocalSet) -> str:
    """What `dev` says of the node and the servers that it has started."""
    has_key = settings.player_key.get_secret_value()
    rows = {
        "players": f"ws://{local.address}/ws/",
        "tokens": f"{shown_command('match-server')} token PLAYER_ID" if has_key else None,
        "dashboard": f"http://{local.admin_address}/",
        "servers": f"http://{local.admin_address}/servers",
        "queues": f"http://{local.admin_address}/queues",
        "metrics": f"http://{local.admin_address}/metrics",
        "history": f"{local.platform_url}/matches",
        "events": f"{local.platform_url}/events",
        "redis": local.node.redis_url,
        "modes": ", ".join(f"{mode.name} ({mode.players} players)" for mode in settings.game_modes),
        "play": None if has_key else play_link(settings, local),
        "try": try_command(settings, address=local.address),
    }
    lines = [f"{name:<11}{value}" for name, value in rows.items() if value]
    if has_key:
        lines.append("Each player brings a token, for MATCH_PLAYER_KEY is set; the line `tokens` prints one.")
    return "\n".join([*lines, "Ctrl-C stops everything."])


def play_link(settings: Settings, local: LocalSet) -> str | None:
    """The page of the first dedicated server, on which a person plays in a browser; None where no mode is for it."""
    mode = next(filter(_asks_nothing, settings.game_modes), None)
    if mode is None:
        return None
    query = urlencode({"match": f"ws://{local.address}/ws/", "mode": mode.name}, safe=":/")
    return f"{local.server_urls[0]}/play?{query}"


def try_command(settings: Settings, *, address: str) -> str | None:
    """A run of `test-client` in the first game mode that asks nothing of a player; None where each asks something."""
    mode = next(filter(_asks_nothing, settings.game_modes), None)
    if mode is None:
        return None
    players = mode.players * -(-_PLAYERS // mode.players)
    words = ["--match-server", f"ws://{address}/ws/", "--game-mode", mode.name, "--players", str(players)]
    return _with_player_key(f"{shown_command('test-client')} {shlex.join(words)}", settings)


def _with_player_key(command: str, settings: Settings) -> str:
    """A command of `test-client`, which makes its players' tokens itself, and reads the environment alone."""
    name = variable("player_key")
    if os.environ.get(name, "") == settings.player_key.get_secret_value():
        return command
    return f"(set -a; . ./.env; {command})" if Path(".env").is_file() else f"{name}=… {command}"


def _asks_nothing(mode: GameMode) -> bool:
    return not isinstance(read_attributes(mode.attributes, mode.needed, None, token=None), InvalidAttributes)


def _shown(path: str | Path) -> str:
    """A program's path as a shell takes it, relative where it lies below the current folder."""
    absolute = Path.cwd() / path
    inside = absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
    return shlex.quote(str(inside) if len(inside.parts) > 1 else f"./{inside}")
