"""The URL of the store, `MATCH_REDIS_URL`: checked, taken apart, and shown without its passwords. No I/O."""

import inspect
import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, parse_url

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
CLUSTER_SCHEMES = ("redis+cluster://", "rediss+cluster://")
SENTINEL_PORT = 26379
CLUSTER_PORT = 6379
_SCHEMES = ("embedded://", *REDIS_SCHEMES, *SENTINEL_SCHEMES, *CLUSTER_SCHEMES)
_PASSWORD_IN_QUERY = re.compile(r"([?&](?:ssl_|sentinel_)?password=)[^&]*")
_HASH_TAG = re.compile(r"^[^{]*\{([^}]+)\}")
_CLUSTER_FORM = "redis+cluster://host:port,host:port, without a database"
_SENTINEL_FORM = "redis+sentinel://host:port,host:port/service, with /db behind it for another database than 0"


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """`redis+sentinel://user:password@host:port,host:port/service/db?option=value`.

    The user, the password and the options are those of the Redis servers; `sentinel_username` and `sentinel_password`
    among the options are those of the sentinels.
    """

    service: str
    sentinels: tuple[str, ...]  # the URL of each
    data: str  # the URL of the primary, with a host that stands for whichever it is

    @classmethod
    def parse(cls, url: str) -> "SentinelUrl":
        """Raises ValueError if it is not of that form."""
        parts = urlsplit(url)
        scheme = parts.scheme.partition("+")[0]
        user, at, hosts = parts.netloc.rpartition("@")
        service, *database = parts.path.strip("/").split("/")
        if not (hosts and service) or len(database) > 1:
            raise ValueError(f"expected {_SENTINEL_FORM}")
        ours = re.compile(r"sentinel_(username|password)=")
        options = [option for option in parts.query.split("&") if option]
        data_query = "&".join(option for option in options if not ours.match(option))
        sentinel_query = "&".join(ours.sub(r"\1=", option) for option in options if _for_sentinels(option))
        sentinels = [urlunsplit((scheme, host, "", sentinel_query, "")) for host in _hosts(hosts, SENTINEL_PORT)]
        data = urlunsplit((scheme, f"{user}{at}primary", "".join(database), data_query, ""))
        for address in (data, *sentinels):
            _check_plain(address)
        return cls(service, tuple(sentinels), data)


def _for_sentinels(option: str) -> bool:
    return option.startswith(("sentinel_", "ssl_"))


@dataclass(frozen=True, slots=True)
class ClusterUrl:
    """`redis+cluster://user:password@host:port,host:port?option=value`."""

    servers: tuple[str, ...]  # the URL of each
    data: str  # the URL of any server, with a host that stands for its own

    @classmethod
    def parse(cls, url: str) -> "ClusterUrl":
        """Raises ValueError if it is not of that form."""
        parts = urlsplit(url)
        scheme = parts.scheme.partition("+")[0]
        user, at, hosts = parts.netloc.rpartition("@")
        if not hosts or parts.path.strip("/"):
            raise ValueError(f"expected {_CLUSTER_FORM}")
        data, *servers = (
            urlunsplit((scheme, f"{user}{at}{host}", "", parts.query, ""))
            for host in ("primary", *_hosts(hosts, CLUSTER_PORT))
        )
        for address in (data, *servers):
            _check_plain(address)
        return cls(tuple(servers), data)

    def at(self, host: str, port: int) -> str:
        """The URL of one server."""
        parts = urlsplit(self.data)
        user, at, _ = parts.netloc.rpartition("@")
        host = f"[{host}]" if ":" in host else host
        return urlunsplit(parts._replace(netloc=f"{user}{at}{host}:{port}"))


def _hosts(text: str, port: int) -> list[str]:
    """The hosts of a list, each with its port, or this one."""
    hosts = [host.strip() for host in text.split(",") if host.strip()]
    return [host if re.search(r":\d+$", host) else f"{host}:{port}" for host in hosts]


def is_cluster(url: str) -> bool:
    """Whether the store is a Redis Cluster, with sharded pub/sub."""
    return url.startswith(CLUSTER_SCHEMES)


def publish_command(url: str) -> str:
    """The command that publishes: in a cluster, messages stay with the servers of their slot."""
    return "SPUBLISH" if is_cluster(url) else "PUBLISH"


def hash_tag(prefix: str) -> str | None:
    """The part of a key prefix that says in which slot of a cluster its keys live; None without one."""
    found = _HASH_TAG.match(prefix)
    return found[1] if found else None


def check(url: str) -> None:
    """Raise ValueError unless this is the URL of a store; the text does not repeat the URL, which may hold a secret."""
    if not url.startswith(_SCHEMES):
        raise ValueError(f"expected a URL that starts with {', '.join(_SCHEMES)}")
    if url.startswith(SENTINEL_SCHEMES):
        SentinelUrl.parse(url)
    elif is_cluster(url):
        ClusterUrl.parse(url)
    elif not url.startswith("embedded://"):
        _check_plain(url)
    elif not url.startswith(("embedded:///", "embedded://~")) and url != "embedded://":
        raise ValueError(
            "expected embedded:// or the whole path of a folder behind it, such as embedded:///var/lib/match"
        )


def _options(connection: type[AbstractConnection]) -> set[str]:
    """The names of what may stand in a URL: what redis-py's connection takes, and its pool."""
    takers = [*connection.__mro__[:-1], ConnectionPool]
    return {name for taker in takers for name in inspect.signature(vars(taker).get("__init__", taker)).parameters}


def _check_plain(url: str) -> None:
    try:
        options = parse_url(url)
    except (ValueError, TypeError) as error:
        text = str(error)
        if "cast to integer" in text:  # it repeats what stands there, which is part of a password that is not quoted
            text = "expected a number for the port; in a password write # as %23, / as %2F, @ as %40 and : as %3A"
        raise ValueError(f"not a URL that Redis clients understand: {text}") from None
    for name in options.keys() - _options(options.pop("connection_class", Connection)):
        raise ValueError(f"unknown option {name!r} behind the ?; Redis' clients have none of that name")
    database = urlsplit(url).path.strip("/")
    if database and not url.startswith("unix://") and not database.isdecimal():
        raise ValueError(f"expected the number of a database behind the host, not {database!r}")


def channel_prefix(url: str) -> str:
    """What every channel's name begins with in this URL's database: pub/sub alone does not keep databases apart."""
    if url.startswith("embedded://") or is_cluster(url):
        return ""
    if url.startswith(SENTINEL_SCHEMES):
        url = SentinelUrl.parse(url).data
    database = parse_url(url).get("db", 0)
    return f"db{database}:" if database else ""


def redact(url: str) -> str:
    """The URL without its passwords, for logs; redis-py takes one in the query, too."""
    url = _PASSWORD_IN_QUERY.sub(r"\1***", url)
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
