"""The game modes that the documentation shows, as a file."""

import copy
import tomllib
from typing import Any

TEXT = """
revision = 3

[game_modes]
Normal_1v1 = 2

[attributes]
rating    = { type = "number", default = 1500, min = 0, max = 5000 }
input     = { type = "text", default = "pad" }
maps      = { type = "list" }
latency   = { type = "latencies" }
build     = { type = "text", from = "token" }
roles     = { type = "list", default = [] }
loadout   = { type = "text", default = "" }

[game_modes.ranked_duel]
players = 2
rules = [
  { kind = "difference", attribute = "rating", max = 50, widen = [
    { after_seconds = 10, max = 150 }, { after_seconds = 30, max = 400 }] },
]

[game_modes.ranked_5v5]
teams = { blue = 5, red = 5 }
party_max = 5
rules = [
  { kind = "difference", attribute = "rating", max = 200, widen_per_second = 10, up_to = 800 },
  { kind = "team_difference", attribute = "rating", max = 60, widen_per_second = 4, up_to = 250 },
  { kind = "latency", attribute = "latency", max = 60, widen = [{ after_seconds = 20, max = 120 }] },
  { kind = "same", attribute = "build" },
  { kind = "common", attribute = "maps", optional_after_seconds = 45 },
  { kind = "party_balance", max = 1, optional_after_seconds = 60 },
]

[game_modes.raid]
teams = { party = 5 }
roles = { party = { tank = 1, healer = 1, damage = 3 } }
party_max = 5

[game_modes.royale]
players = { min = 20, max = 60, fill_seconds = 30 }
party_max = 4
"""

_TABLES = tomllib.loads(TEXT)


def tables() -> dict[str, Any]:
    """A copy of the file's tables, to change."""
    return copy.deepcopy(_TABLES)
