"""What a node says of itself at its start: the first line of its log."""

from pathlib import Path
from typing import Any

import structlog

from match_server import __version__
from match_server.config import Settings, is_loopback
from match_server.redis_urls import redact

log = structlog.get_logger(__name__)

_SAID_ELSEWHERE = {"redis_url", "game_modes", "attributes", "config"}


def log_start(settings: Settings, *, address: str, admin_address: str) -> None:
    """Log `node_started`. Both addresses are host and port; they are the same where all is on one listener."""
    log.info(
        "node_started",
        version=__version__,
        address=address,
        admin_address=admin_address,
        redis_url=redact(settings.redis_url),
        game_modes={mode.name: mode.players for mode in settings.game_modes},
        settings_files=files_read(settings),
        settings=changed_settings(settings),
    )

    if not (is_loopback(settings.host) or settings.player_key.get_secret_value() or settings.player_jwks):
        log.warning(
            "players_unauthenticated",
            address=address,
            detail="whoever reaches it may play as any player_id: MATCH_PLAYER_KEY and MATCH_PLAYER_JWKS are not set",
        )


def files_read(settings: Settings) -> list[str]:
    """The files that settings came from, the one that goes first in front."""
    env_file = Path(str(settings.model_config["env_file"]))
    return [str(path) for path in (env_file, settings.config) if path and path.is_file()]


def changed_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are not the default, by name; of a secret, stars."""
    changed = settings.model_dump(mode="json", exclude_defaults=True, exclude=_SAID_ELSEWHERE)
    return {name: redact(value) if isinstance(value, str) else value for name, value in changed.items()}
