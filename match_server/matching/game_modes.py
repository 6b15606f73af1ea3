"""The game modes of a node as they are now: those of its settings, until a reload brings others."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from match_server.matching.modes import GameMode, Timeouts


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long things may take in one mode, in seconds."""

    loading_timeout: float
    queue_timeout: float  # 0: no limit
    allocation_wait: float
    reconnect_grace: float


class GameModes(Mapping[str, GameMode]):
    """By name. A mode that a reload has removed is still here, `closed`: it is paused until the node ends."""

    def __init__(self, modes: Iterable[GameMode], *, revision: int, defaults: Deadlines) -> None:
        """`defaults` hold where a mode sets no timeouts of its own."""
        self._modes = {mode.name: mode for mode in modes}
        self._closed: set[str] = set()
        self.defaults = defaults
        self.revision = revision

    def __getitem__(self, name: str) -> GameMode:
        return self._modes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modes)

    def __len__(self) -> int:
        return len(self._modes)

    def is_closed(self, name: str) -> bool:
        """Whether the mode has been removed: it takes nobody in and forms no match, and who waits keeps waiting."""
        return name in self._closed

    @property
    def open(self) -> list[GameMode]:
        """The modes that players may join, in the order of the settings."""
        return [mode for mode in self._modes.values() if mode.name not in self._closed]

    @property
    def versions(self) -> dict[str, str]:
        """The version of the rules of each, random ones too."""
        return {mode.name: mode.rules_version for mode in self.open}

    @property
    def modes_hash(self) -> str:
        """Names what this node knows of the game modes: nodes of one pool should agree."""
        modes = sorted(f"{mode.name} {mode.rules_version}" for mode in self.open)
        return hashlib.sha256("\n".join(modes).encode()).hexdigest()[:12]

    def deadlines(self, name: str) -> Deadlines:
        """How long things may take in a mode; the node's own settings for one that is not known here."""
        mode = self._modes.get(name)
        own, node = mode.timeouts if mode else Timeouts(), self.defaults
        return Deadlines(
            _first(own.loading_timeout_seconds, node.loading_timeout),
            _first(own.queue_timeout_seconds, node.queue_timeout),
            _first(own.allocation_wait_seconds, node.allocation_wait),
            _first(own.reconnect_grace_seconds, node.reconnect_grace),
        )

    def own(self, setting: Literal["queue_timeout_seconds", "reconnect_grace_seconds"]) -> dict[str, float]:
        """What the modes that set this timeout themselves set, in seconds."""
        own = {name: getattr(mode.timeouts, setting) for name, mode in self._modes.items()}
        return {name: seconds for name, seconds in own.items() if seconds is not None}

    def not_replaceable(self, modes: Iterable[GameMode]) -> list[str]:
        """Why a reload cannot bring these modes, a line for each reason; empty when it can."""
        return [
            f"game_modes.{mode.name}: expected rules as before, for tickets wait in it; `rules = []` takes who has"
            " waited longest"
            for mode in modes
            if mode.name in self._modes and self._modes[mode.name].by_rules and not mode.by_rules
        ]

    def replace(self, modes: Iterable[GameMode], *, revision: int) -> None:
        """From now on these are the modes."""
        brought = {mode.name: mode for mode in modes}
        self._closed = self._modes.keys() - brought.keys()
        self._modes = {**brought, **{name: self._modes[name] for name in self._modes if name in self._closed}}
        self.revision = revision


def _first(own: float | None, default: float) -> float:
    return default if own is None else own
