"""What `match-server demo` plays: a random mode, or one of demo.toml by its rules."""

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx

_FILE = Path(__file__).with_name("demo.toml")
_HISTORY_SECONDS = 5.0  # for the last events to arrive there
_ALL_STORED = 'match_platform_events_behind{sink="history"} 0.0'
_REGIONS = ("eu", "us")
_LEFT_SHARE = 0.1  # of the players may find nobody left whom the rules allow
_PLAYERS_BRING = (
    *("--attribute", "rating=normal:1500:350"),
    *("--latency", "eu=20:60,us=90:140"),
)
_PARTIES = "1:60,2:30,3:10"


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo: the settings of its node, and further options of `test-client`."""

    RANDOM: ClassVar[str] = "Normal_1v1"

    settings: Mapping[str, Any]
    options: Sequence[str] = ()
    by_rules: bool = False

    @classmethod
    def of(cls, mode: str, *, players: int) -> Self:
        """The demo of that mode.

        Raises:
            ValueError: there is none, or not for so many players; the text says what is expected.
        """
        if mode == cls.RANDOM:
            if players % 2:
                raise ValueError("--players: expected an even number, for the demo plays one against one")
            return cls({"game_modes": f"{mode}:2"})
        tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
        modes = tables["game_modes"]
        if mode not in modes:
            raise ValueError(f"--mode: expected {' or '.join([cls.RANDOM, *modes])}")
        match = modes[mode].get("players") or sum(modes[mode]["teams"].values())
        left = max(match - 1, int(players * _LEFT_SHARE))
        options = [
            *("--game-mode", mode, "--modes", str(_FILE), *_PLAYERS_BRING, "--max-left-waiting", str(left)),
            *("--deadline-seconds", "20", "--rate", str(max(1, players // 5))),
        ]
        if "party_max" in modes[mode]:
            options += ["--parties", _PARTIES]
        return cls({"game_modes": modes, "attributes": tables["attributes"]}, options, by_rules=True)

    def region(self, server: int) -> str | None:
        """The region of the server of that number, from 1 on."""
        return _REGIONS[(server - 1) % len(_REGIONS)] if self.by_rules else None


async def history_of(platform_url: str, admin_key: str) -> str:
    """What the platform's history holds, in a line; with a word where it does not hold all yet."""
    headers = {"Authorization": f"Bearer {admin_key}"} if admin_key else {}
    async with httpx.AsyncClient(base_url=platform_url, headers=headers, trust_env=False) as http:
        late = " so far"
        for _ in range(int(_HISTORY_SECONDS / 0.1)):
            if _ALL_STORED in (await http.get("/metrics")).text:
                late = ""
                break
            await asyncio.sleep(0.1)
        hours = (await http.get("/stats")).raise_for_status().json()["stats"]
    matches, players = (sum(hour[name] for hour in hours) for name in ("matches", "players"))
    return f"The history holds{late} {matches} matches of {players} players."
