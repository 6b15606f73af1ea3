"""Rows of the history's tables, made from events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Table

from match_server.events.cloudevents import CloudEvent
from match_server.events.data import (
    EventData,
    MatchFormed,
    MatchFound,
    ServerDraining,
    ServerLeft,
    ServerLost,
    ServerRegistered,
    SessionEnded,
)
from match_server.platform.history.tables import matches

Row = dict[str, Any]


def event_row(event: CloudEvent) -> Row:
    """The event itself."""
    return {
        "id": event.id,
        "number": event.number,
        "time_us": event.microseconds,
        "type": event.type,
        "subject": event.subject,
        "document": event.document().decode(),
    }


def player_rows(event: CloudEvent) -> Iterator[Row]:
    """An event is part of the history of each player that it is about."""
    data = event.data
    if isinstance(data, MatchFormed):
        players = [player.player_id for player in data.players]
    elif isinstance(data, MatchFound):
        players = data.players
    else:
        players = [event.subject] if event.type.startswith("player.") else []
    for player in players:
        yield {
            "player_id": player,
            "event_id": event.id,
            "number": event.number,
            "time_us": event.microseconds,
            "type": event.type,
            "game_mode": getattr(data, "game_mode", None),
        }


def formed_row(us: int, formed: MatchFormed) -> Row:
    """A match, from its beginning."""
    row = unformed_row(us, formed.match_id, formed.game_mode)
    return row | {"formed_us": us, "region": formed.region, "rules_version": formed.rules_version}


def unformed_row(us: int, match_id: str, game_mode: str) -> Row:
    """A match of which nothing is known yet but that it was there at this time."""
    return all_columns(matches, {"match_id": match_id, "game_mode": game_mode, "at_us": us})


def match_player_rows(us: int, formed: MatchFormed) -> Iterator[Row]:
    """The players of a match."""
    for place, player in enumerate(formed.players):
        yield {
            "match_id": formed.match_id,
            "player_id": player.player_id,
            "at_us": us,
            "place": place,
            "party_id": player.party_id,
            "team": player.team,
            "role": player.role,
            "waited_ms": round(player.waited_seconds * 1000),
        }


def found_row(us: int, found: MatchFound) -> Row:
    """What an update of a match takes once it is found."""
    return {
        "match": found.match_id,
        "at": us,
        "session": found.session_id,
        "server": found.server_id,
        "where": found.region,
    }


def ended_row(us: int, match_id: str, ended: SessionEnded) -> Row:
    """What an update of a match takes when its session is over."""
    said = None if ended.result is None else json.dumps(ended.result, separators=(",", ":"))
    return {"match": match_id, "at": us, "why": ended.reason, "said": said}


def server_row(us: int, data: EventData) -> Row | None:
    """What an event says of a dedicated server; None if it says nothing."""
    match data:
        case ServerRegistered():
            return {
                "server_id": data.server_id,
                "state": "live",
                "changed_us": us,
                "registered_us": us,
                "control_url": data.control_url,
                "address": data.address,
                "capacity": data.capacity,
                "game_modes": ",".join(data.game_modes),
                "region": data.region,
            }
        case ServerDraining():
            return {"server_id": data.server_id, "state": "draining", "changed_us": us}
        case ServerLost():
            return {"server_id": data.server_id, "state": "lost", "changed_us": us}
        case ServerLeft():
            return {"server_id": data.server_id, "state": "left", "changed_us": us}
    return None


def all_columns(table: Table, row: Mapping[str, Any]) -> Row:
    """A row with a value for each column: the rows of one statement have the same ones."""
    return {column.name: row.get(column.name) for column in table.columns}
