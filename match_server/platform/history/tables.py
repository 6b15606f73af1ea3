"""The tables of the history. Times are microseconds since 1970. A change needs a migration (migrations/versions)."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import MEDIUMTEXT

metadata = MetaData()
LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql")
# By default MySQL takes "Ada" and "ada" for the same text; they are two players.
_EXACT: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

events = Table(
    "events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("document", LONG_TEXT, nullable=False),
    **_EXACT,
)

player_events = Table(
    "player_events",
    metadata,
    Column("player_id", String(64), primary_key=True),
    Column("event_id", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    Column("game_mode", String(64)),
    Index("player_events_by_player", "player_id", "time_us", "number"),
    Index("player_events_by_type", "type", "time_us"),
    **_EXACT,
)

matches = Table(
    "matches",
    metadata,
    Column("match_id", String(64), primary_key=True),
    Column("game_mode", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False),  # when it was first heard of: formed, unless that event was lost
    Column("formed_us", BigInteger),
    Column("found_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("cancelled_us", BigInteger),
    Column("reason", String(64)),
    Column("session_id", String(128)),
    Column("server_id", String(64)),
    Column("region", String(64)),
    Column("rules_version", String(64)),
    Column("result", LONG_TEXT),
    Index("matches_by_time", "at_us", "match_id"),
    Index("matches_by_mode", "game_mode", "at_us"),
    Index("matches_by_session", "server_id", "session_id"),
    **_EXACT,
)

match_players = Table(
    "match_players",
    metadata,
    Column("match_id", String(64), primary_key=True),
    Column("player_id", String(64), primary_key=True),
    Column("at_us", BigInteger, nullable=False),  # of its match
    Column("place", Integer, nullable=False),  # in the list of players
    Column("party_id", String(64)),
    Column("team", String(64)),
    Column("role", String(64)),
    Column("waited_ms", BigInteger),
    Index("match_players_by_player", "player_id", "at_us", "match_id"),
    **_EXACT,
)

servers = Table(
    "servers",
    metadata,
    Column("server_id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("registered_us", BigInteger),
    Column("control_url", Text),
    Column("address", Text),
    Column("capacity", Integer),
    Column("game_modes", Text),
    Column("region", String(64)),
    **_EXACT,
)
