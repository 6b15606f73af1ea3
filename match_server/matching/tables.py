"""The tables `[game_modes]` and `[attributes]` of the TOML file, validated once.

`parse_modes` makes game modes of the tables, or says in one line for each mistake where it stands and what is expected.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Self, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from match_server.matching.attributes import Attribute
from match_server.matching.modes import GameMode, Timeouts
from match_server.matching.refusals import lines_of
from match_server.matching.rules import (
    ATTRIBUTE_TYPES,
    AttributeName,
    Difference,
    PartyBalance,
    Rematch,
    Rule,
    Seconds,
    Step,
    Table,
    TeamDifference,
)
from match_server.protocol import GAME_MODE_PATTERN

MIN_PLAYERS, MAX_PLAYERS = 2, 100

TeamName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,32}$")]
RoleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,32}$")]
Count = Annotated[int, Field(ge=1, le=MAX_PLAYERS)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class ModesError(ValueError):
    """Modes are wrong; `lines` has one line each: the path in the file, what stands there, what is expected."""

    def __init__(self, lines: list[str]) -> None:
        """Join `lines` to the error's text."""
        super().__init__("\n".join(lines))
        self.lines = lines


class _Players(Table):
    min: Count
    max: Annotated[int, Field(ge=MIN_PLAYERS, le=MAX_PLAYERS)]
    fill_seconds: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"`min` of at most `max`, which is {self.max}")
        return self


def _players(value: object) -> object:
    """Take `players = 2` for a match of exactly two."""
    if isinstance(value, dict):
        return value
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,3}", str(value)):
        raise ValueError(f"{MIN_PLAYERS} to {MAX_PLAYERS} players")
    if not MIN_PLAYERS <= int(str(value)) <= MAX_PLAYERS:
        raise ValueError(f"{MIN_PLAYERS} to {MAX_PLAYERS} players")
    return {"min": int(str(value)), "max": int(str(value)), "fill_seconds": 0}


class _Mode(Table):
    """One table of `[game_modes]`, as it stands in the file."""

    players: Annotated[_Players, BeforeValidator(_players)] | None = None
    teams: dict[TeamName, Count] = Field({}, max_length=16)
    roles: dict[TeamName, dict[RoleName, Count]] = Field({}, max_length=16)
    party_max: Count = 1
    rules: tuple[Annotated[Rule, Field(discriminator="kind")], ...] | None = Field(None, strict=False, max_length=32)
    second_is_worth: dict[AttributeName, Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]] = Field(
        {}, max_length=1
    )
    loading_timeout_seconds: PositiveSeconds | None = None
    queue_timeout_seconds: Seconds | None = None
    allocation_wait_seconds: Seconds | None = None
    reconnect_grace_seconds: Seconds | None = None

    @property
    def most(self) -> int:
        return self.players.max if self.players else sum(self.teams.values())

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.players is None) == (not self.teams):
            raise ValueError("either `players` or `teams`")
        if not MIN_PLAYERS <= self.most <= MAX_PLAYERS:
            raise ValueError(f"teams of {MIN_PLAYERS} to {MAX_PLAYERS} players together, not {self.most}")
        if self.party_max > self.most:
            raise ValueError(f"`party_max` of at most the match's {self.most} players")
        for team, quota in self.roles.items():
            if sum(quota.values()) != self.teams.get(team):
                raise ValueError(f"roles of {team} that add up to the {self.teams.get(team, 0)} players of that team")
        if self.roles and self.roles.keys() != self.teams.keys():
            raise ValueError("roles for every team")
        return self


def _table(value: object) -> object:
    """Take the short form, a number of players alone, for a table."""
    return value if isinstance(value, dict) else {"players": value}


class _File(Table):
    """The tables of the file that say who plays with whom."""

    attributes: dict[AttributeName, Attribute] = Field({}, max_length=64)
    game_modes: dict[str, Annotated[_Mode, BeforeValidator(_table)]]


_ENTRIES = {
    info.alias or name
    for model in (_Mode, _Players, Attribute, Step, *get_args(Rule))
    for name, info in model.model_fields.items()
}


def parse_modes(tables: object, attributes: object = None) -> tuple[GameMode, ...]:
    """Read `[game_modes]` and `[attributes]`, as a TOML parser gives them.

    Raises:
        ModesError: one line per mistake.
    """
    if not isinstance(tables, dict):
        raise ModesError(["expected a table: [game_modes], and in it Normal_1v1 = 2"])
    if not tables:
        raise ModesError(["expected name:players, for example Normal_1v1:2"])
    for name, table in tables.items():
        if not re.fullmatch(GAME_MODE_PATTERN, name):
            expected = "expected name:players, the name of 1 to 64 A-Z a-z 0-9 _ . -"
            raise ModesError([f"{name or table!r}: {expected}"])
    data = {"attributes": {} if attributes is None else attributes, "game_modes": tables}
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise ModesError(lines_of(error, data, known=_ENTRIES)) from None
    wrong = [line for name, mode in file.game_modes.items() for line in _misfits(name, mode, file.attributes)]
    if wrong:
        raise ModesError(wrong)
    return tuple(_game_mode(name, mode, file.attributes) for name, mode in file.game_modes.items())


def _misfits(name: str, mode: _Mode, attributes: dict[str, Attribute]) -> Iterator[str]:
    """What a mode asks of attributes that they are not, and rules that the mode's form leaves nothing to."""
    path = f"game_modes.{name}"
    for number, rule in enumerate(mode.rules or ()):
        if not isinstance(rule, PartyBalance | Rematch):
            types = ATTRIBUTE_TYPES[rule.kind]
            yield from _misfit(f"{path}.rules[{number}].attribute", rule.attribute, types, attributes)
        if isinstance(rule, TeamDifference | PartyBalance) and len(mode.teams) < 2:
            yield f"{path}.rules[{number}].kind: expected a mode of two or more teams for {rule.kind}"
    if mode.roles:
        yield from _misfit(f"{path}.roles", "roles", ("list",), attributes)
    worth = {rule.attribute for rule in mode.rules or () if isinstance(rule, Difference | TeamDifference)}
    for attribute in mode.second_is_worth.keys() - worth:
        yield f"{path}.second_is_worth: expected an attribute of a rule difference or team_difference, not {attribute}"


def _misfit(path: str, name: str, types: tuple[str, ...], attributes: dict[str, Attribute]) -> Iterator[str]:
    expected = f"an attribute of type {' or '.join(types)}"
    if name not in attributes:
        yield f"{path}: expected {expected}, and {name} does not stand in [attributes]"
    elif attributes[name].type not in types:
        yield f"{path}: expected {expected}, and {name} is of type {attributes[name].type}"


def _game_mode(name: str, mode: _Mode, attributes: dict[str, Attribute]) -> GameMode:
    span = mode.players
    return GameMode(
        name,
        mode.most,
        min_players=span.min if span and span.min < span.max else 0,
        fill_seconds=span.fill_seconds if span else 0,
        teams=mode.teams,
        roles=mode.roles,
        party_max=mode.party_max,
        rules=mode.rules,
        second_is_worth=mode.second_is_worth,
        timeouts=Timeouts(
            loading_timeout_seconds=mode.loading_timeout_seconds,
            queue_timeout_seconds=mode.queue_timeout_seconds,
            allocation_wait_seconds=mode.allocation_wait_seconds,
            reconnect_grace_seconds=mode.reconnect_grace_seconds,
        ),
        attributes=attributes,
    )
