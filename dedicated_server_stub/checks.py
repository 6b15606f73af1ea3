"""Checks of option values, as callbacks: a wrong value is refused with the option's name."""

import math
import re

import typer
from pydantic import AnyUrl, TypeAdapter, ValidationError
from redis.asyncio.connection import parse_url

from match_server.console import node_url
from match_server.protocol import GAME_MODE_PATTERN

SERVER_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}"

_URL: TypeAdapter[AnyUrl] = TypeAdapter(AnyUrl)


def http_url(value: str | None) -> str | None:
    """Check a URL of `http` or `https`."""
    return _url(value, ("http", "https"))


def node_urls(values: list[str]) -> list[str]:
    """Check addresses of nodes; one value may hold several, separated by commas."""
    try:
        return [node_url(text.strip(), scheme="http") for value in values for text in value.split(",")]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def ws_url(value: str | None) -> str | None:
    """Check a URL of `ws` or `wss`."""
    return _url(value, ("ws", "wss"))


def server_id(value: str | None) -> str | None:
    """Check an id, which becomes a segment of the paths called on the match server."""
    if value is not None and not re.fullmatch(SERVER_ID_PATTERN, value):
        raise typer.BadParameter(f"{value!r}: expected 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return value


def game_modes(values: list[str] | None) -> list[str]:
    """Check the names of game modes."""
    for value in values or ():
        if not re.fullmatch(GAME_MODE_PATTERN, value):
            raise typer.BadParameter(f"{value!r}: expected 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return values or []


def server_key(value: str | None) -> str | None:
    """Check that the key fits in a header. The message does not show it: it is a secret."""
    if value and not re.fullmatch(r"[!-~]+", value):
        raise typer.BadParameter("expected ASCII characters without spaces")
    return value


def redis_url(value: str | None) -> str | None:
    """Check a URL of Redis. The message does not show it: it may hold a password."""
    if value is not None:
        try:
            parse_url(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return value


def prefix(value: str) -> str:
    """Check what keys begin with."""
    if not re.fullmatch(r"[A-Za-z0-9_.:{}\-]{1,64}", value):
        raise typer.BadParameter("expected 1 to 64 characters of A-Z a-z 0-9 _ . : { } -")
    return value


def finite(value: float | None) -> float | None:
    """Check a number that has a lower bound already, which infinity passes."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("expected a finite number")
    return value


def _url(value: str | None, schemes: tuple[str, ...]) -> str | None:
    if value is None:
        return None
    try:
        _URL.validate_python(value)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None
    if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise typer.BadParameter(f"expected {' or '.join(f'{scheme}://host' for scheme in schemes)}")
    return value.rstrip("/")
