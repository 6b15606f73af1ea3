"""The history: events, matches with their players, players' events, servers."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LONG_TEXT = sa.Text().with_variant(MEDIUMTEXT(), "mysql")
_EXACT: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}  # see tables.py


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "events",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("document", _LONG_TEXT, nullable=False),
        **_EXACT,
    )
    op.create_table(
        "player_events",
        sa.Column("player_id", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("game_mode", sa.String(64)),
        **_EXACT,
    )
    op.create_index("player_events_by_player", "player_events", ["player_id", "time_us", "number"])
    op.create_index("player_events_by_type", "player_events", ["type", "time_us"])
    op.create_table(
        "matches",
        sa.Column("match_id", sa.String(64), primary_key=True),
        sa.Column("game_mode", sa.String(64), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("formed_us", sa.BigInteger),
        sa.Column("found_us", sa.BigInteger),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("cancelled_us", sa.BigInteger),
        sa.Column("reason", sa.String(64)),
        sa.Column("session_id", sa.String(128)),
        sa.Column("server_id", sa.String(64)),
        sa.Column("region", sa.String(64)),
        sa.Column("rules_version", sa.String(64)),
        sa.Column("result", _LONG_TEXT),
        **_EXACT,
    )
    op.create_index("matches_by_time", "matches", ["at_us", "match_id"])
    op.create_index("matches_by_mode", "matches", ["game_mode", "at_us"])
    op.create_index("matches_by_session", "matches", ["server_id", "session_id"])
    op.create_table(
        "match_players",
        sa.Column("match_id", sa.String(64), primary_key=True),
        sa.Column("player_id", sa.String(64), primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("party_id", sa.String(64)),
        sa.Column("team", sa.String(64)),
        sa.Column("role", sa.String(64)),
        sa.Column("waited_ms", sa.BigInteger),
        **_EXACT,
    )
    op.create_index("match_players_by_player", "match_players", ["player_id", "at_us", "match_id"])
    op.create_table(
        "servers",
        sa.Column("server_id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.Column("registered_us", sa.BigInteger),
        sa.Column("control_url", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("capacity", sa.Integer),
        sa.Column("game_modes", sa.Text),
        sa.Column("region", sa.String(64)),
        **_EXACT,
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("servers", "match_players", "matches", "player_events", "events"):
        op.drop_table(name)
