"""The primary of one slot of a Redis Cluster: the slot that a pool's prefix names by its hash tag (decision 0015)."""

import asyncio
import math
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.crc import key_slot

from match_server.redis_urls import ClusterUrl
from match_server.store.client import connect
from match_server.store.primary import Address, Primary, WrongForGood

_ANSWER_SECONDS = 0.5


class Owner(NamedTuple):
    """The primary that one server says has the slot."""

    epoch: int  # of two that claim a slot, the higher one has it
    address: Address


def owners(nodes: str, slot: int, *, asked: str, tls: bool) -> Iterator[Owner]:
    """The primary with this slot in an answer to CLUSTER NODES, if there is one.

    `asked` is the host that answered, which may not know its own. Over TLS a server goes by its host name, if it has
    one.
    """
    for line in nodes.splitlines():
        _, where, flags, _, _, _, epoch, _, *slots = line.split()
        if "master" in flags.split(",") and any(_holds(text, slot) for text in slots):
            addresses, hostname, *_ = [*where.split(","), ""]
            host, _, port = addresses.partition("@")[0].rpartition(":")
            yield Owner(int(epoch), Address((hostname if tls else "") or host or asked, int(port)))


def _holds(text: str, slot: int) -> bool:
    """`5461`, `0-5460`; `[93->-id]` and `[93-<-id]` are on their way."""
    if text.startswith("["):
        return False
    first, _, last = text.partition("-")
    return int(first) <= slot <= int(last or first)


class ClusterPrimary(Primary):
    """Asks all the servers of the URL, and the one that had the slot last.

    A primary without the majority of its cluster stops writing by itself, so what is found holds until another is.
    """

    def __init__(self, url: ClusterUrl, *, tag: str) -> None:
        super().__init__()
        self._slot = key_slot(tag.encode())
        self._url = url
        self._tls = url.data.startswith("rediss:")
        self._servers: dict[Address, Redis] = {_address(server): connect(server) for server in url.servers}
        self._listed = frozenset(self._servers)
        self._epoch = -1

    async def aclose(self) -> None:
        """Close the connections to the servers that are asked."""
        for server in self._servers.values():
            await server.aclose()

    async def look(self) -> None:
        """Ask every server, all at once."""
        servers = dict(self._servers)
        answers = await asyncio.gather(*(self._ask(address.host, server) for address, server in servers.items()))
        found = [owner for answer in answers if isinstance(answer, list) for owner in answer]
        if not found:
            self._doubt(self._why_none(dict(zip(servers, answers, strict=True))))
            return
        newest = max(found)
        if newest.epoch < self._epoch and not all(isinstance(answer, list) for answer in answers):
            return  # those who answer may have missed a failover; all together may have been set up anew
        self._epoch = newest.epoch
        self._confirm(newest.address, until=math.inf)
        await self._ask_too(newest.address)

    async def _ask(self, host: str, server: Redis) -> list[Owner] | Exception:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reply = await server.execute_command("CLUSTER", "NODES")  # type: ignore[no-untyped-call]  # redis-py leaves it so
        except TimeoutError:
            return exceptions.TimeoutError(f"no answer in {_ANSWER_SECONDS:g} s")
        except (exceptions.RedisError, OSError) as error:
            return error
        return list(owners(reply.decode(), self._slot, asked=host, tls=self._tls))

    async def _ask_too(self, address: Address) -> None:
        """From now on ask the slot's primary too: it knows first when it has handed the slot on."""
        for old in self._servers.keys() - self._listed - {address}:
            await self._servers.pop(old).aclose()
        if address not in self._servers:
            self._servers[address] = connect(self._url.at(*address))

    def _why_none(self, answers: dict[Address, list[Owner] | Exception]) -> exceptions.RedisError:
        for error in answers.values():
            if isinstance(error, exceptions.ResponseError):
                return WrongForGood(f"the servers of the cluster refuse: {error}")
        if any(isinstance(answer, list) for answer in answers.values()):
            return exceptions.ConnectionError(f"no server of the cluster has the slot {self._slot}")
        return exceptions.ConnectionError(
            "no server of the cluster answers: " + ", ".join(f"{a} ({error})" for a, error in answers.items())
        )


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or 0)
