"""A mode's rules, read from its TOML file and held against finished matches: a check with no code of the service.

Windows widen by age. How long a ticket had waited is known here to a fraction of a second, so a limit is that of an age
`SLACK_SECONDS` higher. `rematch` is not checked, since each simulated player plays once.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any, Self

from match_server.protocol import MatchFound

SLACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Member:
    """A player of a match, as this side knows it."""

    player_id: str
    attributes: Mapping[str, Any]
    party_id: str | None
    party_size: int
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the players of one match fit."""

    difference: float | None  # by the mode's first rule of that kind; None without one
    team_difference: float | None
    region: str | None


class ModeRules:
    """One mode of a TOML file."""

    def __init__(self, mode: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """`attributes` is the file's table of that name."""
        self._mode = mode
        self._rules: Sequence[Mapping[str, Any]] = mode.get("rules", ())
        self._defaults = {name: of["default"] for name, of in attributes.items() if "default" in of}
        players = mode.get("players", sum(mode.get("teams", {}).values()))
        self._least, self._most = (players["min"], players["max"]) if isinstance(players, dict) else (players, players)

    @classmethod
    def read(cls, path: Path, game_mode: str) -> Self:
        """Read a mode.

        Raises:
            ValueError: the file cannot be read, or has no such mode.
        """
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None
        mode = tables.get("game_modes", {}).get(game_mode)
        if mode is None:
            raise ValueError(f"{path}: there is no game mode {game_mode}")
        return cls(mode if isinstance(mode, dict) else {"players": mode}, tables.get("attributes", {}))

    def violations(self, found: MatchFound, members: Sequence[Member]) -> Iterator[str]:
        """What is wrong with a match, a line for each. `members` are all of its players."""
        if not self._least <= len(members) <= self._most:
            yield f"{len(members)} players in a match"
        if wrong := list(self._wrong_teams(found)):
            yield from wrong
            return  # what is said of teams cannot be relied on
        yield from self._wrong_parties(found, members)
        yield from self._wrong_roles(found, members)
        if len({member.party_id or member.player_id for member in members}) == 1:
            return  # a private match: rules do not refuse it
        for rule in self._rules:
            yield from self._broken(rule, found, members)

    def quality(self, found: MatchFound, members: Sequence[Member]) -> Quality:
        """How well the players of a match fit."""
        first: dict[str, float] = {}
        for rule in () if list(self._wrong_teams(found)) else self._rules:
            if rule["kind"] in {"difference", "team_difference"}:
                first.setdefault(rule["kind"], self._value(rule, found, members))
        return Quality(first.get("difference"), first.get("team_difference"), found.region)

    # --- teams, parties, roles ---

    def _wrong_teams(self, found: MatchFound) -> Iterator[str]:
        teams = found.teams or {}
        if {name: len(ids) for name, ids in teams.items()} != self._mode.get("teams", {}):
            yield f"teams of { ({name: len(ids) for name, ids in teams.items()}) }"
        listed = [player for ids in teams.values() for player in ids]
        if teams and sorted(listed) != sorted(found.players):
            yield "the teams have other players than the match"

    def _wrong_parties(self, found: MatchFound, members: Sequence[Member]) -> Iterator[str]:
        largest = max(self._mode.get("teams", {}).values(), default=self._most)
        for party_id, mates in _parties(members):
            ids = {mate.player_id for mate in mates}
            if len(mates) != mates[0].party_size:
                yield f"{len(mates)} of the {mates[0].party_size} members of the party {party_id}"
            together = not found.teams or any(ids <= set(team) for team in found.teams.values())
            if not together and len(mates) <= largest:
                yield f"the party {party_id} is split over teams"

    def _wrong_roles(self, found: MatchFound, members: Sequence[Member]) -> Iterator[str]:
        wanted = self._mode.get("roles", {})
        if not wanted:
            return
        roles = found.roles or {}
        for member in members:
            plays = self._of(member, "roles") or ()
            if plays and roles.get(member.player_id) not in plays:
                yield f"{member.player_id} has the role {roles.get(member.player_id)}, and plays {list(plays)}"
        for team, ids in (found.teams or {}).items():
            counted: defaultdict[str, int] = defaultdict(int)
            for player in ids:
                counted[roles.get(player, "")] += 1
            if dict(counted) != wanted.get(team, {}):
                yield f"the team {team} has the roles {dict(counted)}"

    # --- rules ---

    def _broken(self, rule: Mapping[str, Any], found: MatchFound, members: Sequence[Member]) -> Iterator[str]:
        kind, name = rule["kind"], rule.get("attribute", "")
        asked = [member for member in members if _age(member) < rule.get("optional_after_seconds", inf)]
        match kind:
            case "difference" | "team_difference" | "latency" | "party_balance":
                value, limit = self._value(rule, found, members), _limit(rule, members)
                if value > limit + 1e-6:
                    yield f"{kind} {name}: {value:g} of at most {limit:g}"
            case "same" if asked:
                values = {self._of(member, name) for member in members}
                if len(values) > 1:
                    yield f"same {name}: {sorted(map(str, values))}"
            case "common" if asked:
                shared = set.intersection(*(set(self._of(member, name) or ()) for member in members))
                if (found.properties or {}).get(name) not in shared:
                    yield f"common {name}: {(found.properties or {}).get(name)} of {sorted(shared)}"
            case "apart":
                ids = {member.player_id for member in members}
                for member in asked:
                    if met := ids & set(self._of(member, name) or ()):
                        yield f"apart {name}: {member.player_id} with {sorted(met)}"

    def _value(self, rule: Mapping[str, Any], found: MatchFound, members: Sequence[Member]) -> float:
        name = rule.get("attribute", "")
        teams = list((found.teams or {}).values())
        match rule["kind"]:
            case "difference":
                numbers = [self._of(member, name) for member in members]
                return float(max(numbers) - min(numbers))
            case "team_difference":
                of = {member.player_id: self._of(member, name) for member in members}
                means = [sum(of[player] for player in team) / len(team) for team in teams if team]
                return float(max(means) - min(means)) if means else 0.0
            case "latency":
                return float(max((self._of(member, name) or {}).get(found.region, inf) for member in members))
            case _:
                sizes = {member.player_id: member.party_size for member in members}
                largest = [max(sizes[player] for player in team) for team in teams if team]
                return float(max(largest) - min(largest)) if largest else 0.0

    def _of(self, member: Member, name: str) -> Any:
        return member.attributes.get(name, self._defaults.get(name))


def _age(member: Member) -> float:
    return member.waited_seconds + SLACK_SECONDS


def _limit(rule: Mapping[str, Any], members: Sequence[Member]) -> float:
    """The limit of a match: that of its oldest ticket where the rule says so, else what all of its tickets accept."""
    limits = [_limit_at(rule, _age(member)) for member in members]
    return max(limits) if rule.get("age") == "oldest" else min(limits)


def _limit_at(rule: Mapping[str, Any], age: float) -> float:
    if age >= rule.get("optional_after_seconds", inf):
        return inf
    if "widen_per_second" in rule:
        return float(min(rule["max"] + rule["widen_per_second"] * age, rule.get("up_to", inf)))
    passed = [step["max"] for step in rule.get("widen", ()) if age >= step["after_seconds"]]
    return float(max([rule["max"], *passed]))


def _parties(members: Sequence[Member]) -> Iterator[tuple[str, list[Member]]]:
    in_parties = sorted((member for member in members if member.party_id), key=lambda member: member.party_id or "")
    for party_id, mates in groupby(in_parties, key=lambda member: member.party_id or ""):
        yield party_id, list(mates)
