"""A cluster of three primaries and their replicas on loopback ports."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import redis
from redis.crc import key_slot

from tests.shared.node import eventually
from tests.shared.tcp_redis import TcpRedis, free_ports, start_all

TAG = "eu"
PREFIX = f"{{{TAG}}}:"
SLOT = key_slot(TAG.encode())
NODE_TIMEOUT_SECONDS = 2.0
_SLOTS = 16384
_PAGE_SECONDS = 0.05  # between twenty keys that move and the next: scripts shall come in between


class Move(NamedTuple):
    """A move of the pool's slot that is under way."""

    old: TcpRedis
    new: TcpRedis

    def take(self, *keys: str) -> None:
        """Move these keys."""
        self.old.do("MIGRATE", "127.0.0.1", self.new.port, "", 0, 5000, "KEYS", *keys)

    def end(self) -> None:
        """The slot is the new primary's."""
        target = self.new.do("CLUSTER", "MYID")
        for server in (self.new, self.old):
            server.do("CLUSTER", "SETSLOT", SLOT, "NODE", target)


class RedisCluster:
    """Six servers. `do` speaks to the primary of the pool's slot."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(12)
        self.servers = [
            TcpRedis(
                folder / f"redis-{port}",
                port,
                save='""',
                maxmemory_policy="noeviction",
                cluster_enabled="yes",
                cluster_port=bus,
                cluster_node_timeout=int(NODE_TIMEOUT_SECONDS * 1000),
                repl_diskless_sync_delay=0,
            )
            for port, bus in zip(ports[:6], ports[6:], strict=True)
        ]
        self._buses = ports[6:]
        self.url = "redis+cluster://" + ",".join(server.address for server in self.servers)

    def __enter__(self) -> Self:
        start_all(self.servers)
        primaries, replicas = self.servers[:3], self.servers[3:]
        for number, primary in enumerate(primaries):
            first, last = number * _SLOTS // 3, (number + 1) * _SLOTS // 3 - 1
            primary.do("CLUSTER", "ADDSLOTSRANGE", first, last)
            primary.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server, bus in zip(self.servers[1:], self._buses[1:], strict=True):
            self.servers[0].do("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        eventually(lambda: all(len(_nodes(server)) == 6 for server in self.servers))
        for primary, replica in zip(primaries, replicas, strict=True):
            replica.do("CLUSTER", "REPLICATE", primary.do("CLUSTER", "MYID"))
        eventually(lambda: all("cluster_state:ok" in server.do("CLUSTER", "INFO") for server in self.servers))
        eventually(lambda: all(replica.do("ROLE")[3] == "connected" for replica in replicas))
        eventually(lambda: all(str(_nodes(server)).count("slave") == 3 for server in self.servers))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.kill()

    @property
    def primary(self) -> TcpRedis:
        """The primary of the pool's slot, as its own view has it."""
        for server in self.servers:
            if server.runs and _owns_slot(server):
                return server
        raise redis.ConnectionError("no server has the slot")

    def do(self, *command: Any) -> Any:
        """Run one command on the primary of the pool's slot."""
        return self.primary.do(*command)

    def move_slot_at_once(self) -> float:
        """Move the pool's slot to another primary as Valkey 9 does, in one step; the seconds that took."""
        began_at = time.monotonic()
        old, new = self.primary, self._other_primary()
        old.do("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", SLOT, SLOT, "NODE", new.do("CLUSTER", "MYID"))
        eventually(lambda: _owns_slot(new))
        return time.monotonic() - began_at

    def move_slot_key_by_key(self, pause_seconds: float = _PAGE_SECONDS) -> float:
        """Move the pool's slot to another primary as every Redis can, twenty keys at a time; the seconds that took."""
        began_at = time.monotonic()
        move = self.begin_to_move()
        while keys := move.old.do("CLUSTER", "GETKEYSINSLOT", SLOT, 20):
            move.take(*keys)
            time.sleep(pause_seconds)
        move.end()
        return time.monotonic() - began_at

    def begin_to_move(self) -> "Move":
        """Begin to move the pool's slot to another primary, key by key."""
        move = Move(self.primary, self._other_primary())
        move.new.do("CLUSTER", "SETSLOT", SLOT, "IMPORTING", move.old.do("CLUSTER", "MYID"))
        move.old.do("CLUSTER", "SETSLOT", SLOT, "MIGRATING", move.new.do("CLUSTER", "MYID"))
        return move

    def _other_primary(self) -> TcpRedis:
        return next(server for server in self.servers if server.do("ROLE")[0] == "master" and not _owns_slot(server))

    def wait_for_failover(self, old: TcpRedis, *, within_seconds: float = 20.0) -> float:
        """Wait until another server than `old` has the slot; the time at which that was seen."""
        others = [server for server in self.servers if server is not old]
        eventually(lambda: any(map(_owns_slot, others)), within_seconds=within_seconds)
        return time.monotonic()


def _nodes(server: TcpRedis) -> list[str]:
    """The lines of CLUSTER NODES. redis-py reads them into a dictionary."""
    return list(map(str, server.do("CLUSTER NODES").items()))


def _owns_slot(server: TcpRedis) -> bool:
    """Whether the server itself says that it is the primary with the slot."""
    for entry in server.do("CLUSTER NODES").values():
        if "myself" in entry["flags"] and "master" in entry["flags"]:
            return any(int(first) <= SLOT <= int(last[0] if last else first) for first, *last in entry["slots"])
    return False
