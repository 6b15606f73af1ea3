"""A primary, its replica and three sentinels on loopback ports."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.shared.node import eventually
from tests.shared.tcp_redis import TcpRedis, free_ports, start_all

SERVICE = "match"
DOWN_AFTER_SECONDS = 2.0
# Users of the servers, each with its name as its password.
NODES, WATCHER = "nodes", "watcher"


def sentinel(folder: Path, port: int, *, watches: int, down_after_seconds: float = DOWN_AFTER_SECONDS) -> TcpRedis:
    """A sentinel, not started yet, that watches the server on a port; it wants a quorum of two."""
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nsentinel monitor {SERVICE} 127.0.0.1 {watches} 2\n"
        f"sentinel down-after-milliseconds {SERVICE} {down_after_seconds * 1000:.0f}\n"
        f"sentinel auth-user {SERVICE} {WATCHER}\nsentinel auth-pass {SERVICE} {WATCHER}\n"
        f"sentinel failover-timeout {SERVICE} 10000\n"
    )
    return TcpRedis(folder, port, config=config, sentinel="")


class SentinelGroup:
    """Two servers, three sentinels with a quorum of two. `do` speaks to the server that is primary now."""

    def __init__(self, folder: Path, *, down_after_seconds: float = DOWN_AFTER_SECONDS) -> None:
        first, second, *ports = free_ports(5)
        common: dict[str, Any] = {
            "save": '""',
            "maxmemory_policy": "noeviction",
            "repl_diskless_sync_delay": 0,
            "masteruser": NODES,
            "masterauth": NODES,
        }
        users = folder / "users.conf"
        users.write_text("user default off\n" + "".join(f"user {u} on >{u} ~* &* +@all\n" for u in (NODES, WATCHER)))
        self.servers = [
            TcpRedis(folder / "redis-1", first, config=users, user=NODES, **common),
            TcpRedis(folder / "redis-2", second, config=users, user=NODES, replicaof=f"127.0.0.1 {first}", **common),
        ]
        self.sentinels = [
            sentinel(folder / f"sentinel-{port}", port, watches=first, down_after_seconds=down_after_seconds)
            for port in ports
        ]
        hosts = ",".join(sentinel.address for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{NODES}:{NODES}@{hosts}/{SERVICE}"

    def __enter__(self) -> Self:
        start_all([*self.servers, *self.sentinels])
        eventually(lambda: self.servers[1].do("ROLE")[3] == "connected")
        eventually(lambda: all(_is_whole(_view(sentinel)) for sentinel in self.sentinels))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in [*self.servers, *self.sentinels]:
            process.kill()

    @property
    def primary(self) -> TcpRedis:
        """The server that most sentinels call the primary."""
        ports = [int(_view(sentinel)["port"]) for sentinel in self.sentinels if sentinel.runs]
        port = max(ports, key=ports.count)
        return next(server for server in self.servers if server.port == port)

    @property
    def replica(self) -> TcpRedis:
        return next(server for server in self.servers if server is not self.primary)

    def do(self, *command: Any) -> Any:
        """Run one command on the primary."""
        return self.primary.do(*command)

    def hide_from_sentinels(self, server: TcpRedis) -> None:
        """Cut the sentinels off from a server, and nobody else: it goes on, and knows of no failover."""
        server.do("ACL", "SETUSER", WATCHER, "off")
        server.do("CLIENT", "KILL", "USER", WATCHER)

    def wait_for_failover(self, old: TcpRedis, *, within_seconds: float = 20.0) -> float:
        """Wait until another server than `old` is the primary and takes writes; the time at which it was seen."""
        eventually(lambda: self.primary is not old, within_seconds=within_seconds)
        eventually(lambda: self.primary.do("ROLE")[0] == "master")
        return time.monotonic()


def _view(sentinel: TcpRedis) -> dict[str, str]:
    """What a sentinel says of the service."""
    words = sentinel.do("SENTINEL", "MASTER", SERVICE)
    return dict(zip(words[::2], words[1::2], strict=True))


def _is_whole(view: dict[str, str]) -> bool:
    return (view["num-slaves"], view["num-other-sentinels"], view["flags"]) == ("1", "2", "master")
