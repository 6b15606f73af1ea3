"""Settings: from the environment, a `.env` file or a TOML file, validated once. Units stand in the names."""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import (
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from match_server import redis_urls
from match_server.env_file import broken_lines
from match_server.errors import SettingsError
from match_server.matching.modes import GameMode
from match_server.setting_types import (
    ADMIN_LABEL,
    KeySet,
    Modes,
    Networks,
    OperatorKeys,
    OptionalPort,
    Origins,
    Placement,
    Pools,
    Port,
    PositiveSeconds,
    RedisUrl,
    Seconds,
    networks,
)

log = structlog.get_logger(__name__)

ENV_PREFIX = "MATCH_"
# Kubernetes adds these, after the prefix, for a service that is named match-something.
_SERVICE_LINK = re.compile(r"(.+_)?(service_host|service_port(_.+)?|port_\d+_(tcp|udp|sctp)(_(proto|port|addr))?)")


class Settings(BaseSettings):
    """Every setting of a node. The environment variable is the name in capitals after `MATCH_`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_file=".env", env_ignore_empty=False, extra="ignore", frozen=True
    )

    # Where the node listens
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on")
    port: Port = Field(8080, description="Port to listen on; 0 picks a free one, printed at the start")

    admin_host: str = Field("127.0.0.1", min_length=1, description="Address of the operators' and servers' listener")
    admin_port: OptionalPort = Field(
        None, description="Its port: then the players' listener serves /ws/ and /healthz alone"
    )

    # Where the truth is kept
    redis_url: RedisUrl = Field(
        "embedded://",
        description="embedded://, embedded:///path, redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://",
    )
    key_prefix: str = Field("", pattern=r"^[\x21-\x7e]{0,64}$", description="Put before every key and channel")

    pools: Pools = Field((), description="Names of the pools that this node serves, comma separated; empty for one")

    # Matching
    config: Path | None = Field(None, description="A TOML file with settings by these names, and [game_modes]")
    attributes: dict[str, Any] = Field({}, description="What players may say of themselves: a table of the file")
    revision: int = Field(
        0, ge=0, le=2**53, description="Number of the file's modes: of nodes that differ, the highest holds"
    )
    game_modes: Modes = Field((GameMode("Normal_1v1", 2),), description="name:players, comma separated")
    tick_seconds: PositiveSeconds = Field(0.1, description="The period of TryMatch")
    match_on_enqueue: bool = Field(True, description="Match at once when an enqueue fills a match")
    queue_timeout_seconds: Seconds = Field(0, description="The longest wait in a queue; 0 for no limit")
    loading_timeout_seconds: PositiveSeconds = Field(60, description="How long a match may load")
    party_timeout_seconds: PositiveSeconds = Field(60, description="How long a party may gather")

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
    placement: Placement = Field(
        "spread", description="spread: the server with the largest free share; pack: the fullest that has room"
    )
    server_networks: Networks = Field(
        networks("127.0.0.0/8,::1/128"), description="Networks that dedicated servers may be in"
    )

    agones: Path | None = Field(None, description="A TOML file of the Agones fleets that take matches, too")

    # Events
    events_keep: int = Field(
        1_000_000,
        ge=0,
        le=1_000_000_000,
        description="How many events Redis keeps for a platform that is away; 0: no events",
    )

    # The platform: `match-server platform`
    platform_port: Port = Field(8090, description="Its port, on MATCH_ADMIN_HOST; 0 picks a free one")
    database_url: str = Field(
        "sqlite+aiosqlite:///match-history.db",
        description="The history: sqlite+aiosqlite:///file, postgresql+asyncpg:// or mysql+asyncmy://",
    )

    kafka_brokers: str = Field("", description="Kafka: host:port, comma separated; empty: none")
    kafka_topic_prefix: str = Field(
        "match", pattern=r"^[a-zA-Z0-9._-]{1,200}$", description="Of the topics .player, .match, .session and .server"
    )
    webhooks: Path | None = Field(None, description="A TOML file of [[webhooks]]: url, secret, types, name")
    webhook_networks: Networks = Field(networks("127.0.0.0/8,::1/128"), description="Networks that webhooks may be in")

    # Who may do what
    server_key: SecretStr = Field(SecretStr(""), description="Bearer key of dedicated servers' calls")
    admin_key: SecretStr = Field(SecretStr(""), description="Bearer key of operators' calls")
    admin_keys: OperatorKeys = Field(
        (), description="More of them: label:key:role, comma separated; roles read, operate"
    )
    player_key: SecretStr = Field(SecretStr(""), description="Key of players' HS256 tokens")
    player_jwks: KeySet = Field(
        "", description="Keys of players' RS256, ES256 and EdDSA tokens: the URL or file of a JSON Web Key Set"
    )
    player_issuer: str = Field("", description="The iss that players' tokens must have")
    player_audience: str = Field("", description="The aud that players' tokens must have")
    allowed_origins: Origins = Field(
        (), description="Origins of browsers, such as http://localhost:* (any port); the same host is allowed"
    )
    trusted_proxies: Networks = Field((), description="Networks whose X-Forwarded-For is believed")
    max_connections: int = Field(20_000, ge=1, description="WebSocket connections of this node")
    max_connections_per_address: int = Field(0, ge=0, description="The same from one address; 0 for no limit")
    claim_seconds: Seconds = Field(
        30, description="From this age on a connection that has claimed no player gives way where the node is full"
    )
    messages_per_second: float = Field(20, gt=0, description="Messages of one connection; a burst may be twice that")
    max_message_bytes: int = Field(4096, ge=256, le=1_048_576, description="Size of one message")

    @model_validator(mode="after")
    def _one_slot_for_each_pool(self) -> "Settings":
        tagged = redis_urls.hash_tag(self.key_prefix)
        if self.pools and tagged:
            raise ValueError(
                "key_prefix: must hold no hash tag beside MATCH_POOLS; the name of each pool becomes one, such as {eu}:"
            )
        if redis_urls.is_cluster(self.redis_url) and not (self.pools or tagged):
            raise ValueError(
                "key_prefix: must hold a hash tag in a cluster, such as {eu}:, so that all keys of the pool are in one"
                " slot; or name the pools in MATCH_POOLS"
            )
        return self

    @model_validator(mode="after")
    def _one_key_per_label(self) -> "Settings":
        if self.admin_key.get_secret_value() and any(key.label == ADMIN_LABEL for key in self.admin_keys):
            raise ValueError(
                f"admin_keys: the label {ADMIN_LABEL} is that of {variable('admin_key')}, which is set, too"
            )
        return self

    @model_validator(mode="after")
    def _claims_need_a_key(self) -> "Settings":
        if not (self.player_key.get_secret_value() or self.player_jwks):
            for name in ("player_issuer", "player_audience"):
                if getattr(self, name):
                    keys = f"{variable('player_key')} or {variable('player_jwks')}"
                    raise ValueError(f"{name}: checks nothing without {keys}, as players then need no token")
        return self

    @model_validator(mode="after")
    def _guard_beyond_loopback(self) -> "Settings":
        name, host = ("host", self.host) if self.admin_port is None else ("admin_host", self.admin_host)
        if is_loopback(host):
            return self
        missing: list[tuple[str, str]] = []
        if not self.server_key.get_secret_value():
            missing.append(("server_key", "anybody could register a dedicated server"))
        if not (self.admin_key.get_secret_value() or self.admin_keys):
            moved = f"{variable('admin_port')} moves the operators' calls to {self.admin_host}"
            missing.append(("admin_key", f"anybody could pause a queue; {moved}"))
        if missing:
            (key, why), *others = missing
            besides = "".join(f"; so must {variable(other)}, or {what}" for other, what in others)
            where = f"{host} ({variable(name)}), beyond loopback"
            raise ValueError(f"{key}: must be set to listen on {where}, or {why}{besides}")
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

    @property
    def pool_names(self) -> tuple[str, ...]:
        """The pools, the first one first; one with an empty name where none are named."""
        return self.pools or ("",)

    def of_pool(self, name: str) -> "Settings":
        """The settings of one pool, whose keys begin with its name as a hash tag."""
        return self.model_copy(update={"key_prefix": f"{self.key_prefix}{{{name}}}:"}) if name else self


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
        wrong += broken_lines(Path(".env"))
        meant = filter(_nearest, sorted(_unknown_variables()))
        wrong += [f"{variable(name)}: {_no_setting(name, variable)}" for name in meant]
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


def mistakes_in_file(path: Path) -> list[str]:
    """What is wrong in a TOML file of settings, its game modes aside: a line each, with the name as it stands there.

    Nothing, where the file cannot be read as TOML: that is for whoever reads the modes to say.
    """
    try:
        source = TomlConfigSettingsSource(Settings, path)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return []
    mistakes = []
    for name, value in source.toml_data.items():
        info = Settings.model_fields.get(name)
        if info is None:
            mistakes.append(f"{name}: {_no_setting(name)}")
        elif name not in {"game_modes", "attributes"}:
            try:
                field: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
                TypeAdapter(field).validate_python(value)
            except ValidationError as error:
                (detail, *_) = error.errors(include_url=False, include_input=False)
                mistakes.append(f"{name}: {_message(dict(detail))}")
    return mistakes


def warn_of_unknown_variables() -> None:
    """Log each variable that has our prefix and is no setting, nor nearly one: a script may have names of its own."""
    for name in sorted(_unknown_variables()):
        log.warning("unknown_setting", variable=variable(name), detail=_no_setting(name, variable))


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
    nearest = _nearest(name) or next((known for known in sorted(KNOWN) if known.startswith(f"{name}_")), None)
    return "no such setting; " + (f"did you mean {shown(nearest)}?" if nearest else "see match-server --help")


def _default(info: FieldInfo) -> str:
    value = info.default
    if isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ""
    if isinstance(value, tuple):
        return ",".join(f"{v.name}:{v.players}" if isinstance(v, GameMode) else str(v) for v in value)
    return "" if value is None else str(value)


def _line(detail: dict[str, Any]) -> str:
    """One line of a SettingsError. The wrong value itself is left out: it may be a secret."""
    message = _message(detail)
    where = [str(part) for part in detail["loc"]]
    if not where:  # the checks across settings name theirs themselves
        name, _, message = message.partition(": ")
        where = [name]
    return f"{variable(where[0])}: {message}"


def _message(detail: dict[str, Any]) -> str:
    return str(detail["msg"]).removeprefix("Value error, ")
