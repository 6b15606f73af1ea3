"""Settings: from the environment, a `.env` file or a TOML file, validated once. Units stand in the names."""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import structlog
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from redis.asyncio.connection import parse_url

from match_server.errors import SettingsError
from match_server.protocol import GAME_MODE_PATTERN

log = structlog.get_logger(__name__)

ENV_PREFIX = "MATCH_"
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
MIN_PLAYERS, MAX_PLAYERS = 2, 100
# Kubernetes adds these, after the prefix, for a service that is named match-something.
_SERVICE_LINK = re.compile(r"(.+_)?(service_host|service_port(_.+)?|port_\d+_(tcp|udp|sctp)(_(proto|port|addr))?)")

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class GameMode(NamedTuple):
    """A game mode: its name, and how many players make a match. Players are drawn at random."""

    name: str
    players: int


def _game_modes(value: Any) -> Any:
    """Read `name:players, name:players`, or the table of a TOML file: `Normal_1v1 = 2`."""
    if isinstance(value, str):
        pairs = [part.strip().rpartition(":")[::2] for part in value.split(",") if part.strip()]
    elif isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, tuple):
        return value
    else:
        raise ValueError("expected a table: [game_modes], and in it Normal_1v1 = 2")
    if not pairs:
        raise ValueError("expected name:players, for example Normal_1v1:2")
    modes: dict[str, GameMode] = {}
    for name, players in pairs:
        if not re.fullmatch(GAME_MODE_PATTERN, name):
            raise ValueError(f"{name or players!r}: expected name:players, the name of 1 to 64 A-Z a-z 0-9 _ . -")
        if name in modes:
            raise ValueError(f"{name}: named twice")
        if not re.fullmatch(r"\d{1,3}", str(players)) or not MIN_PLAYERS <= int(players) <= MAX_PLAYERS:
            raise ValueError(f"{name}: expected {MIN_PLAYERS} to {MAX_PLAYERS} players, not {players!r}")
        modes[name] = GameMode(name, int(players))
    return tuple(modes.values())


def _comma_separated(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _networks(value: Any) -> Any:
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


def _redis_url(value: str) -> str:
    schemes = ("embedded://", *REDIS_SCHEMES)
    if not value.startswith(schemes):
        later = "; Sentinel and Cluster are not supported yet" if value.startswith("redis+") else ""
        raise ValueError(f"expected a URL that starts with {', '.join(schemes)}{later}")
    if not value.startswith("embedded://"):
        try:
            parse_url(value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"not a URL that Redis clients understand: {error}") from None
    return value


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Every setting of a node. The environment variable is the name in capitals after `MATCH_`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_file=".env", env_ignore_empty=False, extra="ignore", frozen=True
    )

    # Where the node listens
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one, printed at the start")

    # Where the truth is kept
    redis_url: Annotated[str, AfterValidator(_redis_url)] = Field(
        "embedded://", description="embedded://, embedded:///path, redis://, rediss:// or unix://"
    )
    key_prefix: str = Field("", pattern=r"^[\x21-\x7e]{0,64}$", description="Put before every key and channel")

    # Matching
    config: Path | None = Field(None, description="A TOML file with settings by these names, and [game_modes]")
    game_modes: Annotated[tuple[GameMode, ...], NoDecode, BeforeValidator(_game_modes)] = Field(
        (GameMode("Normal_1v1", 2),), description="name:players, comma separated"
    )
    tick_seconds: PositiveSeconds = Field(0.1, description="The period of TryMatch")
    match_on_enqueue: bool = Field(True, description="Match at once when an enqueue fills a match")
    queue_timeout_seconds: Seconds = Field(0, description="The longest wait in a queue; 0 for no limit")
    loading_timeout_seconds: PositiveSeconds = Field(60, description="How long a match may load")

    # Links and leases
    reconnect_grace_seconds: Seconds = Field(5, description="How long a player whose link dropped keeps its place")
    ping_interval_seconds: PositiveSeconds = Field(
        5, description="After how long a silence a client is pinged, at most"
    )
    ping_timeout_seconds: PositiveSeconds = Field(5, description="How long it may take to answer")
    node_lease_seconds: PositiveSeconds = Field(5, description="A node that dies is noticed after this long")
    stop_seconds: PositiveSeconds = Field(10, description="The stop deadline")

    # Dedicated servers
    server_lease_seconds: PositiveSeconds = Field(15, description="How long a dedicated server may miss heartbeats")
    allocation_timeout_seconds: PositiveSeconds = Field(3, description="Deadline of one call to a dedicated server")
    allocation_attempts: int = Field(5, ge=1, le=100, description="How many servers a match may try")
    allocation_wait_seconds: Seconds = Field(30, description="How long a ready match waits for a free slot")
    server_networks: Networks = Field(
        _networks("127.0.0.0/8,::1/128"), description="Networks that dedicated servers may be in"
    )

    # Who may do what
    server_key: SecretStr = Field(SecretStr(""), description="Bearer key of dedicated servers' calls")
    admin_key: SecretStr = Field(SecretStr(""), description="Bearer key of operators' calls")
    player_key: SecretStr = Field(SecretStr(""), description="Key of players' HS256 tokens")
    allowed_origins: Origins = Field((), description="Origins of browsers; the same host is always allowed")
    trusted_proxies: Networks = Field((), description="Networks whose X-Forwarded-For is believed")
    max_connections: int = Field(20_000, ge=1, description="WebSocket connections of this node")
    max_connections_per_address: int = Field(0, ge=0, description="The same from one address; 0 for no limit")
    messages_per_second: float = Field(20, gt=0, description="Messages of one connection; a burst may be twice that")
    max_message_bytes: int = Field(4096, ge=256, le=1_048_576, description="Size of one message")

    @model_validator(mode="after")
    def _guard_beyond_loopback(self) -> "Settings":
        if not self.server_key.get_secret_value() and not is_loopback(self.host):
            raise ValueError(
                f"server_key: must be set to listen on {self.host}, beyond loopback,"
                " or anybody could register a dedicated server"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options of the command come first, then the environment, `.env`, and the TOML file of MATCH_CONFIG."""
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings, dotenv_settings)
        path = env_settings().get("config") or dotenv_settings().get("config")
        if path:
            if not Path(path).is_file():
                raise SettingsError(f"{ENV_PREFIX}CONFIG: {path} is not a file")
            toml = TomlConfigSettingsSource(settings_cls, Path(path))
            unknown = [f"{ENV_PREFIX}CONFIG: {name}: {_no_setting(name)}" for name in toml.toml_data.keys() - KNOWN]
            if unknown:
                raise SettingsError("\n".join(sorted(unknown)))
            sources += (toml,)
        return sources

    def game_mode(self, name: str) -> GameMode | None:
        """The configured mode of that name, if there is one."""
        return next((mode for mode in self.game_modes if mode.name == name), None)


KNOWN = frozenset(Settings.model_fields)


def is_loopback(host: str) -> bool:
    """Whether listening on `host` is reachable from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(**options: Any) -> Settings:
    """Read the settings; an option that is None counts as not given.

    Raises:
        SettingsError: one readable line per wrong setting, each naming its variable. One that has our prefix and nearly
            the name of a setting is wrong, too: somebody meant it, and a key that is not set leaves a door open.
    """
    wrong: list[str] = []
    try:
        for name in sorted(_unknown_variables()):
            if _nearest(name):
                wrong.append(f"{variable(name)}: {_no_setting(name, variable)}")
            else:
                log.warning("unknown_setting", variable=variable(name), fix="see match-server --help")
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        wrong += [_line(dict(detail)) for detail in error.errors(include_url=False, include_input=False)]
        raise SettingsError("\n".join(wrong)) from None
    except SettingsError as error:
        raise SettingsError("\n".join([*wrong, str(error)])) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError("\n".join([*wrong, f"{ENV_PREFIX}CONFIG: not TOML: {error}"])) from None
    except UnicodeDecodeError as error:
        raise SettingsError("\n".join([*wrong, f"{ENV_PREFIX}CONFIG or .env: not UTF-8: {error}"])) from None
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + name.upper()


def describe_settings() -> list[tuple[str, str, str]]:
    """Rows for `--help` and the README: variable, default, meaning."""
    return [(variable(name), _default(info), info.description or "") for name, info in Settings.model_fields.items()]


def _unknown_variables() -> Iterator[str]:
    """What begins like a setting in the environment or in `.env` and is none: without prefix, in small letters."""
    variables = {**DotEnvSettingsSource(Settings).env_vars, **EnvSettingsSource(Settings).env_vars}
    for key, value in variables.items():
        name = key.removeprefix(ENV_PREFIX.lower())
        linked = _SERVICE_LINK.fullmatch(name) or (name.endswith("_port") and "://" in (value or ""))
        if name != key and name not in KNOWN and not linked:
            yield name


def _nearest(name: str) -> str | None:
    """The setting that was meant, if this is a typing error: `prot` and `port` are as alike as 0.75, says difflib."""
    return next(iter(difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.75 if len(name) < 6 else 0.85)), None)


def _no_setting(name: str, shown: Callable[[str], str] = str) -> str:
    nearest = _nearest(name)
    return "no such setting; " + (f"did you mean {shown(nearest)}?" if nearest else "see match-server --help")


def _default(info: FieldInfo) -> str:
    value = info.default
    if isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(f"{v.name}:{v.players}" if isinstance(v, GameMode) else str(v) for v in value)
    return "" if value is None else str(value)


def _line(detail: dict[str, Any]) -> str:
    """One line of a SettingsError. The wrong value itself is left out: it may be a secret."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    where = [str(part) for part in detail["loc"]]
    if not where:  # the checks across settings name theirs themselves
        name, _, message = message.partition(": ")
        where = [name]
    return f"{variable(where[0])}: {message}"
