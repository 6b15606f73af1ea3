"""`match-server token`: a player's token, for a client that is being written."""

import time
import warnings
from typing import Annotated

import jwt
import typer
from jwt import InsecureKeyLengthWarning

from match_server.config import load_settings
from match_server.console import refuse
from match_server.errors import SettingsError

_LEAST_KEY_BYTES = 32  # of a key for HS256 (RFC 7518, section 3.2)


def token(
    player_id: Annotated[str, typer.Argument(help="Whose token it is: its sub.")],
    minutes: Annotated[float, typer.Option(min=0.1, max=525_600, help="How long it is good.")] = 60,
) -> None:
    """Print a token for a player (HS256), signed with MATCH_PLAYER_KEY. In production your own service makes them."""
    try:
        settings = load_settings()
    except SettingsError as error:
        refuse(str(error))
    key = settings.player_key.get_secret_value()
    if not key:
        refuse("MATCH_PLAYER_KEY: is not set; without it players need no token")
    if len(key.encode()) < _LEAST_KEY_BYTES:
        typer.echo(f"MATCH_PLAYER_KEY: has fewer than {_LEAST_KEY_BYTES} bytes, and may be guessed", err=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)  # said above, in one line
        typer.echo(jwt.encode({"sub": player_id, "exp": int(time.time() + 60 * minutes)}, key, algorithm="HS256"))
