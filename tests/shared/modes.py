"""Game modes as a node has them, for tests that build the parts of a node themselves."""

from match_server.matching.game_modes import Deadlines, GameModes
from match_server.matching.modes import GameMode


def game_modes(*modes: GameMode) -> GameModes:
    """These modes, with the deadlines that settings have by default."""
    defaults = Deadlines(loading_timeout=60, queue_timeout=0, allocation_wait=30, reconnect_grace=5)
    return GameModes(modes, revision=0, defaults=defaults)
