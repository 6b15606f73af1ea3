"""Game modes: how many players make a match, in which teams, and by which rules.

`match_server/matching/tables.py` reads them from the TOML file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from match_server.matching.attributes import Attribute
from match_server.matching.rules import Rematch, Rule


@dataclass(frozen=True, slots=True)
class Timeouts:
    """What a mode sets for itself; None where the node's settings hold."""

    loading_timeout_seconds: float | None = None
    queue_timeout_seconds: float | None = None
    allocation_wait_seconds: float | None = None
    reconnect_grace_seconds: float | None = None


@dataclass(frozen=True)
class GameMode:
    """A game mode: its name, how many players make a match, and by which rules."""

    name: str
    players: int  # of a full match
    min_players: int = 0  # a match may form with so few once its oldest ticket has waited `fill_seconds`; 0: `players`
    fill_seconds: float = 0
    teams: Mapping[str, int] = field(default_factory=dict)  # name -> players; empty: no teams
    roles: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # team -> role -> players
    party_max: int = 1
    rules: tuple[Rule, ...] | None = None  # None: the mode names no rules at all
    second_is_worth: Mapping[str, float] = field(default_factory=dict)  # attribute -> points of difference
    timeouts: Timeouts = Timeouts()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)  # all that the file declares

    @property
    def by_rules(self) -> bool:
        """Whether the proposer forms this mode's matches; otherwise they are drawn at random."""
        special = self.teams or self.roles or self.party_max > 1 or self.least_players < self.players
        return self.rules is not None or bool(special)

    @property
    def least_players(self) -> int:
        """The fewest players of a match."""
        return self.min_players or self.players

    @cached_property
    def needed(self) -> frozenset[str]:
        """The attributes that the mode's rules read."""
        read = {rule.attribute for rule in self.rules or () if hasattr(rule, "attribute")}
        return frozenset(read | ({"roles"} if self.roles else set()))

    @property
    def remember_seconds(self) -> float:
        """For how long its rules want to know who has met whom; 0 where none asks."""
        return max((rule.within_seconds for rule in self.rules or () if isinstance(rule, Rematch)), default=0.0)

    @cached_property
    def rules_version(self) -> str:
        """A hash of all that decides who may play with whom: twelve hexadecimal digits."""
        decides = {
            "players": [self.players, self.least_players, self.fill_seconds],
            "teams": list(self.teams.items()),
            "roles": {team: dict(quota) for team, quota in self.roles.items()},
            "party_max": self.party_max,
            "rules": None if self.rules is None else [rule.model_dump(mode="json") for rule in self.rules],
            "second_is_worth": dict(self.second_is_worth),
            "attributes": {name: self.attributes[name].model_dump(mode="json") for name in sorted(self.needed)},
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
