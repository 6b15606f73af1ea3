"""What a matched player does: it connects to its dedicated server and is welcomed."""

import asyncio
import json
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

WELCOME_SECONDS = 5.0


async def join(server_address: str, player_id: str, *, play_seconds: float = 0.0) -> str | None:
    """Connect as the player, wait for the `welcome` frame, stay for `play_seconds`.

    Returns:
        What went wrong in a word, or None. An address that is no `ws://` or `wss://` is not for us to try: None.
    """
    if not server_address.startswith(("ws://", "wss://")):
        return None
    separator = "&" if "?" in server_address else "?"
    url = f"{server_address}{separator}player_id={quote(player_id, safe='')}"
    try:
        async with asyncio.timeout(WELCOME_SECONDS):
            link = await connect(url, compression=None, proxy=None, close_timeout=1)
    except (OSError, InvalidHandshake, InvalidURI):  # TimeoutError is an OSError
        return "no_connection"
    async with link:
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                frame = await link.recv()
        except (ConnectionClosed, TimeoutError):
            return "no_welcome"
        if not _is_welcome(frame):
            return "no_welcome"
        await asyncio.sleep(play_seconds)
    return None


def _is_welcome(frame: str | bytes) -> bool:
    try:
        message = json.loads(frame)
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("type") == "welcome"
