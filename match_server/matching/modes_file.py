"""The TOML file of `MATCH_CONFIG`, read for its game modes alone."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from match_server.matching.modes import GameMode
from match_server.matching.tables import ModesError, parse_modes

MAX_REVISION = 2**53


@dataclass(frozen=True)
class ModesFile:
    """What a file says of game modes."""

    game_modes: tuple[GameMode, ...]
    revision: int

    def game_mode(self, name: str) -> GameMode | None:
        """The mode of that name, if there is one."""
        return next((mode for mode in self.game_modes if mode.name == name), None)


def read_modes_file(path: Path) -> ModesFile:
    """Read the game modes of a file.

    Raises:
        ModesError: the file cannot be read, is not TOML, or one line per mistake in it.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModesError([f"{path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModesError([f"{path}: not TOML: {error}"]) from None
    if "game_modes" not in tables:
        raise ModesError([f"{path}: expected a table [game_modes]"])
    revision = tables.get("revision", 0)
    if isinstance(revision, bool) or not isinstance(revision, int) or not 0 <= revision <= MAX_REVISION:
        raise ModesError([f"revision: expected a whole number of at least 0, not {revision!r}"])
    return ModesFile(parse_modes(tables["game_modes"], tables.get("attributes")), revision)
