"""Who arrives when: made up from a seed, or read from a trace."""

import csv
import difflib
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any

from match_server.matching.attributes import Attribute, InvalidAttributes, Value, read_attributes
from match_server.matching.modes import GameMode
from match_server.matching.tickets import Member, Ticket

PARTY_WEIGHTS = (60, 25, 10, 5, 5)  # of parties of one player, two, …
PARTY_SPREAD = 0.5  # how far a party's members are apart, of how far the players are
REGIONS = ("eu", "us", "asia")
HOME_MS, AWAY_MS = (15, 60), (90, 220)
_NEEDED_COLUMNS = ("at_seconds", "player_id")
TRACE_COLUMNS = (*_NEEDED_COLUMNS, "party_id", "cancel_at_seconds")


class TraceError(ValueError):
    """A trace cannot be read; the text names the line and what is expected."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A ticket that arrives at `ticket.enqueued_at`, and when its players give up."""

    ticket: Ticket
    cancel_at: float = inf


def made_up(mode: GameMode, *, players_per_minute: float, minutes: float, seed: int) -> Iterator[Arrival]:
    """Players that arrive at random: a Poisson process, with parties, ratings, regions and choices of their own."""
    chance = random.Random(seed)  # noqa: S311 - a simulation, to be repeated
    sizes = [size for size in range(1, len(PARTY_WEIGHTS) + 1) if size <= mode.party_max]
    weights = PARTY_WEIGHTS[: len(sizes)]
    mean_size = sum(size * weight for size, weight in zip(sizes, weights, strict=True)) / sum(weights)
    at, number = 0.0, 0
    while True:
        at += chance.expovariate(players_per_minute / 60 / mean_size)
        if at >= minutes * 60:
            return
        size = chance.choices(sizes, weights)[0]
        party = {name: _party_value(attribute, chance) for name, attribute in sorted(mode.attributes.items())}
        members = []
        for _ in range(size):
            values = {
                name: _value(name, attribute, party[name], mode, size, chance)
                for name, attribute in sorted(mode.attributes.items())
            }
            members.append(Member(f"p{number}", values))
            number += 1
        yield Arrival(Ticket(f"t{number - size}", tuple(members), at))


def _party_value(attribute: Attribute, chance: random.Random) -> Any:
    """What the members of a party have in common: where they stand, and where they live."""
    match attribute.type:
        case "number":
            middle, deviation = _scale(attribute)
            return chance.gauss(middle, deviation)
        case "latencies":
            return chance.choices(REGIONS, (5, 3, 2))[0]
        case "text":
            return attribute.default if attribute.default is not None else chance.choices("ab", (9, 1))[0]
        case "list":
            return None


def _value(name: str, attribute: Attribute, party: Any, mode: GameMode, size: int, chance: random.Random) -> Value:
    match attribute.type:
        case "number":
            _, deviation = _scale(attribute)
            value = party + (chance.gauss(0, PARTY_SPREAD * deviation) if size > 1 else 0.0)
            least = value if attribute.min is None else attribute.min
            most = value if attribute.max is None else attribute.max
            return float(min(max(value, least), most))
        case "latencies":
            return {
                region: float(round(chance.uniform(*(HOME_MS if region == party else AWAY_MS)), 1))
                for region in REGIONS
            }
        case "text":
            return str(party)
        case "list" if name == "roles" and mode.roles:
            return _roles(mode, chance)
        case "list":
            return tuple(chance.sample("abcde", chance.randint(4, 5)))


def _roles(mode: GameMode, chance: random.Random) -> tuple[str, ...]:
    """One role or two, the first as often as the mode needs it."""
    needed: dict[str, int] = {}
    for quota in mode.roles.values():
        for role, players in quota.items():
            needed[role] = needed.get(role, 0) + players
    first = chance.choices(list(needed), list(needed.values()))[0]
    second = chance.choice(list(needed))
    return (first,) if second == first else (first, second)


def _scale(attribute: Attribute) -> tuple[float, float]:
    """Where the players stand in the middle, and how far they deviate."""
    least = 0.0 if attribute.min is None else attribute.min
    most = least + 3000.0 if attribute.max is None else attribute.max
    middle = (least + most) / 2 if attribute.default is None else float(attribute.default)
    return middle, (most - least) / 16


def read_trace(path: Path, mode: GameMode, *, also: Collection[str] = ()) -> list[Arrival]:
    """Read a trace: a line for each player, those of one party with one `party_id` behind one another.

    Columns: at_seconds, player_id, party_id (may be empty), cancel_at_seconds (may be empty or missing), and any
    attributes; a list is written `a|b`, latencies `eu=20|us=90`. `also` are columns that this mode does not read, and
    another one does.

    Raises:
        TraceError: the line, and what is expected there.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: {error}") from None
    _check_columns(reader.fieldnames or (), {*TRACE_COLUMNS, *mode.attributes, *also})
    arrivals = []
    numbered = list(enumerate(rows, start=2))
    for _, group in groupby(numbered, key=lambda row: row[1].get("party_id") or f"line {row[0]}"):
        party = list(group)
        members = tuple(_member(line, row, mode) for line, row in party)
        line, first = party[0]
        at = _seconds(line, "at_seconds", first)
        cancel = _seconds(line, "cancel_at_seconds", first) if first.get("cancel_at_seconds") else inf
        arrivals.append(Arrival(Ticket(members[0].player_id, members, at), cancel))
    return sorted(arrivals, key=lambda arrival: arrival.ticket.seniority)


def _check_columns(columns: Sequence[str], known: Collection[str]) -> None:
    """A column with a wrong name would be left out in silence, and each player have the default instead."""
    expected = ", ".join([*TRACE_COLUMNS, *sorted(set(known) - set(TRACE_COLUMNS))])
    for column in columns:
        if column not in known:
            nearest = difflib.get_close_matches(column, known, n=1)
            meant = f"did you mean {nearest[0]}?" if nearest else f"expected some of {expected}"
            raise TraceError(f"line 1: {column!r}: no such column; {meant}")
    for column in _NEEDED_COLUMNS:
        if column not in columns:
            raise TraceError(f"line 1: expected a column {column}, and any of {expected}")


def _member(line: int, row: Mapping[str, str | None], mode: GameMode) -> Member:
    given: dict[str, Any] = {}
    for name, text in row.items():
        if name not in TRACE_COLUMNS and text and name in mode.attributes:
            given[name] = _parsed(mode.attributes[name], text)
    values = read_attributes(mode.attributes, mode.needed, given)
    if isinstance(values, InvalidAttributes):
        raise TraceError(f"line {line}: {values.message}")
    if not row.get("player_id"):
        raise TraceError(f"line {line}: player_id: expected an id")
    return Member(str(row["player_id"]), values)


def _parsed(attribute: Attribute, text: str) -> object:
    try:
        match attribute.type:
            case "number":
                return float(text)
            case "list":
                return text.split("|")
            case "latencies":
                return {region: float(ms) for region, ms in (part.split("=") for part in text.split("|"))}
            case "text":
                return text
    except ValueError:
        return None  # read_attributes says what is expected


def _seconds(line: int, name: str, row: Mapping[str, str | None]) -> float:
    try:
        return float(row[name] or "")
    except (KeyError, ValueError):
        raise TraceError(f"line {line}: {name}: expected seconds, not {row.get(name)!r}") from None
