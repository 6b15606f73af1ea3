"""What the HTTP calls of the platform answer; see answers.py. Times are RFC 3339."""

from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic takes that of `typing` from Python 3.12 on


class MatchPlayer(TypedDict):
    """A player of a match, and how long it had waited when that formed."""

    player_id: str
    party_id: str | None
    team: str | None
    role: str | None
    waited_seconds: float | None


class Match(TypedDict):
    """A match. `match_id` is its loading session's; `result` is what its dedicated server reported, as it is."""

    match_id: str
    session_id: str | None
    game_mode: str
    state: Literal["formed", "found", "ended", "cancelled"]
    reason: str | None
    formed_at: str | None
    found_at: str | None
    ended_at: str | None
    server_id: str | None
    region: str | None
    rules_version: str | None
    players: list[MatchPlayer]
    result: Any


class Matches(TypedDict):
    """A page of matches, newest first. `next` is the cursor of the page behind it; null at the end."""

    matches: list[Match]
    next: str | None


class PlayerEvents(TypedDict):
    """A page of the events about a player, newest first: CloudEvents, described by `GET /events/schemas`."""

    events: list[dict[str, Any]]
    next: str | None


class Hour(TypedDict):
    """An hour of a game mode: matches that were found, and their players; players who left without a match."""

    game_mode: str
    hour: str
    matches: int
    players: int
    wait_p50_seconds: float | None
    wait_p95_seconds: float | None
    abandoned: int
    cancelled: int


class Stats(TypedDict):
    """What became of matches and players, hour by hour."""

    stats: list[Hour]
