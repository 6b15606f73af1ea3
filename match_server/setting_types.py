"""The types of settings: how each is read from the text of a variable, and what is wrong with one that cannot be."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, cast

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo
from pydantic_settings import NoDecode

from match_server import redis_urls
from match_server.matching.modes import GameMode
from match_server.matching.tables import ModesError, parse_modes

_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,32}")

Role: TypeAlias = Literal["read", "operate"]
Placement: TypeAlias = Literal["spread", "pack"]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


ADMIN_LABEL = "admin"  # of the operators' key that has no other name


class OperatorKey(NamedTuple):
    """A named key of operators, and what it lets them do."""

    label: str
    key: SecretStr
    role: Role


def _game_modes(value: Any, info: ValidationInfo) -> Any:
    """Read `name:players, name:players`, or the table of a TOML file: `Normal_1v1 = 2`."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, str):
        pairs = [part.strip().rpartition(":")[::2] for part in value.split(",") if part.strip()]
        for name, _ in pairs:
            if sum(name == other for other, _ in pairs) > 1:
                raise ValueError(f"{name}: named twice")
        value = dict(pairs)
    try:
        return parse_modes(value, info.data.get("attributes"))
    except ModesError as error:
        more = len(error.lines) - 1
        raise ValueError(error.lines[0] + (f" (and {more} more: see match-server check)" if more else "")) from None


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


def _comma_separated(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def networks(value: Any) -> Any:
    """Read networks, comma separated."""
    parts = _comma_separated(value)
    try:
        return tuple(ipaddress.ip_network(part, strict=False) for part in parts)
    except ValueError as error:
        raise ValueError(f"expected networks such as 127.0.0.0/8,::1/128: {error}") from None


def _origins(value: Any) -> Any:
    for origin in _comma_separated(value):
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+", origin):
            raise ValueError(f"expected origins such as https://play.example.org, or *, not {origin!r}")
    return _comma_separated(value)


def _operator_keys(value: Any) -> Any:
    """Read `label:key:role, label:key:role`. No message repeats what stands there: it may be a key."""
    keys: dict[str, OperatorKey] = {}
    for place, part in enumerate(_comma_separated(value), 1):
        if isinstance(part, OperatorKey):
            keys[part.label] = part
            continue
        label, _, rest = str(part).partition(":")
        key, _, role = rest.rpartition(":")
        if not (_LABEL.fullmatch(label) and key and role in {"read", "operate"}):
            raise ValueError(f"number {place}: expected label:key:role, the role read or operate")
        if label in keys:
            raise ValueError(f"number {place}: the label {label} is named twice")
        keys[label] = OperatorKey(label, SecretStr(key), cast("Role", role))
    return tuple(keys.values())


def _key_set(value: str) -> str:
    if value and not value.startswith(("http://", "https://")) and not Path(value).is_file():
        raise ValueError("expected an http or https URL, or the path of a file that is there")
    return value


def _pools(value: Any) -> Any:
    names = _comma_separated(value)
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
            raise ValueError(f"expected names of a-z 0-9 -, not {name!r}")
        if names.count(name) > 1:
            raise ValueError(f"{name}: named twice")
    return names


def _redis_url(value: str) -> str:
    redis_urls.check(value)
    return value


OperatorKeys = Annotated[tuple[OperatorKey, ...], NoDecode, BeforeValidator(_operator_keys)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(networks)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
Pools = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_pools)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]
OptionalPort = Annotated[Port | None, BeforeValidator(_none_if_empty)]
Modes = Annotated[tuple[GameMode, ...], NoDecode, BeforeValidator(_game_modes)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
KeySet = Annotated[str, AfterValidator(_key_set)]
