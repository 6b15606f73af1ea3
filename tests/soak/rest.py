"""The end: wait until nothing moves any more, then say what is left that was not there at the start."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
from redis import exceptions

from tests.soak import pool
from tests.soak.invariants import Finding, Invariant
from tests.soak.stack import GAME_MODES, Stack
from tests.soak.vitals import Vitals, ask_node

REST_SECONDS = 30.0  # more than every timeout of the stack
_LOOK_SECONDS = 0.25
_MEBIBYTE = 1 << 20
_MEMORY_BYTES = 16 * _MEBIBYTE  # that a process may have grown by since it was warm
_REDIS_BYTES = 64 * _MEBIBYTE  # the matches of the last two minutes are kept
_DESCRIPTORS = 24  # pooled connections to Redis and to dedicated servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One row of the table; the numbers as they are shown."""

    what: str
    at_start: str = ""
    warm: str = ""
    at_end: str
    limit: str = ""
    ok: bool = True


@dataclass(frozen=True, slots=True)
class RedisUse:
    """What Redis holds."""

    ttls: dict[str, int]
    clients: int
    channels: tuple[str, ...]
    used_bytes: int


async def use_of_redis(stack: Stack) -> RedisUse:
    """Look at Redis itself."""
    client = cast("Any", stack.client)
    clients, memory = await client.info("clients"), await client.info("memory")
    channels = tuple(sorted(name.decode() for name in await client.pubsub_channels()))
    return RedisUse(await pool.keys(stack.client), clients["connected_clients"], channels, memory["used_memory"])


async def come_to_rest(stack: Stack) -> list[Finding]:
    """Wait until everything is over, for a bounded time. Returns what is not."""
    deadline = time.monotonic() + REST_SECONDS
    while True:
        try:
            moving = [finding async for finding in _moving(stack)]
        except (exceptions.RedisError, OSError, httpx.HTTPError) as error:
            moving = [Finding(Invariant.LEFT, f"no answer at the end: {error!r}")]
        if not moving or time.monotonic() > deadline:
            return moving
        await asyncio.sleep(_LOOK_SECONDS)


async def _moving(stack: Stack) -> AsyncIterator[Finding]:
    snapshot = await pool.look(stack.client)
    for line in snapshot.under_way():
        yield Finding(Invariant.GHOSTS, line)
    if len(snapshot.look.leases) != len(stack.nodes):
        yield Finding(Invariant.LEFT, f"{len(snapshot.look.leases)} nodes have a lease")
    for url in stack.server_urls:
        status = (await stack.http.get(f"{url}/sessions")).json()
        server = snapshot.look.servers.get(status["server_id"])
        alive, due = len(status["sessions"]), status["created"] - status["ended"]
        registered = (len(server.active), len(server.reserved)) if server else None
        if alive or due or registered != (0, 0):
            counts = f"{alive} alive, created - ended {due}, active and reserved in the registry {registered}"
            yield Finding(Invariant.REGISTRY, f"{status['server_id']}: {counts}")
    for node, url in zip(stack.nodes, stack.node_urls, strict=True):
        inside = await ask_node(stack.http, url)
        if inside.connections or inside.waiting_messages:
            yield Finding(Invariant.LEFT, f"{node.name}: {inside}")
    for channel in (await use_of_redis(stack)).channels:
        if channel.startswith("notifications:"):
            yield Finding(Invariant.LEFT, f"somebody is subscribed to {channel}")


async def leftovers(stack: Stack, vitals: Vitals, before: RedisUse) -> list[Leftover]:
    """What is left, at rest, beside what was there before the first player came."""
    rows = [row for process in stack.processes for row in _of_process(process.name, vitals)]
    for node, url in zip(stack.nodes, stack.node_urls, strict=True):
        inside = await ask_node(stack.http, url)
        rows.append(_nothing(f"{node.name}: connections of players", inside.connections))
        rows.append(_nothing(f"{node.name}: messages waiting in mailboxes", inside.waiting_messages))
    now = await use_of_redis(stack)
    snapshot = await pool.look(stack.client)
    unowned = list(pool.unowned(now.ttls, nodes=snapshot.look.leases, servers=[s.name for s in stack.servers]))
    players = [channel for channel in now.channels if channel.startswith("notifications:")]
    queued = sum(len(snapshot.look.mode(mode).waiting) for mode in GAME_MODES)
    return [
        *rows,
        _nothing("Redis: players' channels with a subscriber", len(players)),
        _nothing("Redis: players waiting", queued),
        _nothing("Redis: keys without owner or TTL" + "".join(f" {key}" for key in unowned[:3]), len(unowned)),
        Leftover(
            what="Redis: keys of the pool, its nodes and servers",
            at_start=str(_lasting(before)),
            at_end=str(_lasting(now) - len(unowned)),
        ),
        Leftover(what="Redis: keys that end by their TTL (of matches and tombstones)", at_end=str(_ending(now))),
        counted("Redis: clients", before.clients, now.clients, _DESCRIPTORS),
        measured("Redis: memory in use", before.used_bytes, now.used_bytes, _REDIS_BYTES),
    ]


def _of_process(name: str, vitals: Vitals) -> Iterator[Leftover]:
    longest, lives = vitals.longest(name), vitals.lives(name)
    yield measured(
        f"{name}: resident memory, longest life of {len(lives)} ({longest.seconds:.0f} s)",
        longest.samples[0].resident_bytes,
        longest.samples[-1].resident_bytes,
        _REDIS_BYTES if name == "redis" else _MEMORY_BYTES,
        warm=longest.warm.resident_bytes,
    )
    idle, now = lives[0].samples[0], lives[-1].samples[-1]  # before the first player came, and after the last had gone
    yield counted(f"{name}: descriptors", idle.descriptors, now.descriptors, _DESCRIPTORS)


def measured(what: str, start: int, end: int, allowed: int, *, warm: int | None = None) -> Leftover:
    """A row of bytes: how much more than when it was warm, or at the start."""
    growth = end - (start if warm is None else warm)
    return Leftover(
        what=what,
        at_start=_mebibytes(start),
        warm="" if warm is None else _mebibytes(warm),
        at_end=_mebibytes(end),
        limit=f"grown by {growth / _MEBIBYTE:+.1f} of {allowed // _MEBIBYTE} MiB",
        ok=growth <= allowed,
    )


def _mebibytes(value: int) -> str:
    return f"{value / _MEBIBYTE:.1f} MiB"


def counted(what: str, start: int, end: int, allowed: int) -> Leftover:
    """A row of things that are counted: how many more than at the start."""
    ok = end - start <= allowed
    return Leftover(what=what, at_start=str(start), at_end=str(end), limit=f"at most {allowed} more", ok=ok)


def _nothing(what: str, count: int) -> Leftover:
    return Leftover(what=what, at_end=str(count), limit="0", ok=not count)


def _lasting(use: RedisUse) -> int:
    return sum(ttl < 0 for ttl in use.ttls.values())


def _ending(use: RedisUse) -> int:
    return sum(ttl >= 0 for ttl in use.ttls.values())
