"""What is done to the stack, one thing at a time, each with its end, at random moments."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.soak.process import Process
from tests.soak.stack import LEASE_SECONDS, STOP_SECONDS, Stack

_GAP_SECONDS = (1.0, 6.0)
_AWAY_SECONDS = (0.0, 2.0)
_REDIS_PAUSE_SECONDS = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that is over. Times are of the monotonic clock, which all processes share.

    Args:
        fault: its name.
        what: for people, what was done to whom.
        began: when.
        ended: when everything ran again.
        breaks_links: connections of players may have broken.
        silent_seconds: how long a node left its open connections without an answer.
        fail: what went wrong beyond the fault itself.
    """

    fault: str
    what: str
    began: float
    ended: float = 0.0
    breaks_links: bool = False
    silent_seconds: float = 0.0
    fail: str = ""


Strike = Callable[[Stack, Random], Awaitable[Struck]]


async def _kill_node(stack: Stack, rng: Random) -> Struck:
    node, began = rng.choice(stack.nodes), time.monotonic()
    node.kill()
    await asyncio.sleep(rng.uniform(*_AWAY_SECONDS))
    await stack.start(node)
    return Struck("kill-node", f"kill -9 of {node.name}, started again", began, breaks_links=True)


async def _terminate_node(stack: Stack, rng: Random) -> Struck:
    node, began = rng.choice(stack.nodes), time.monotonic()
    node.terminate()
    status = await node.ended(STOP_SECONDS + 1)
    took = time.monotonic() - began
    node.kill()
    await stack.start(node)
    what = f"SIGTERM to {node.name}, which ended after {took:.1f} s, started again"
    fail = "" if status == 0 else f"{node.name} after SIGTERM: exit status {status} after {took:.1f} s"
    return Struck("terminate-node", what, began, breaks_links=True, fail=fail)


async def _pause_node(stack: Stack, rng: Random) -> Struck:
    node = rng.choice(stack.nodes)
    began, seconds = time.monotonic(), await _pause(node, rng.uniform(0.1, 1.5 * LEASE_SECONDS))
    return Struck("pause-node", f"SIGSTOP of {node.name} for {seconds:.1f} s", began, silent_seconds=seconds)


async def _kill_redis(stack: Stack, rng: Random) -> Struck:
    began = time.monotonic()
    stack.redis.kill()
    await asyncio.sleep(rng.uniform(*_AWAY_SECONDS))
    await stack.start_redis()
    return Struck("kill-redis", "kill -9 of Redis, started again with its data", began)


async def _pause_redis(stack: Stack, rng: Random) -> Struck:
    began, seconds = time.monotonic(), await _pause(stack.redis, rng.uniform(*_REDIS_PAUSE_SECONDS))
    return Struck("pause-redis", f"SIGSTOP of Redis for {seconds:.1f} s", began)


async def _cut_pubsub(stack: Stack, _rng: Random) -> Struck:
    return await _command(stack, "cut-pubsub", "CLIENT KILL TYPE pubsub")


async def _cut_connections(stack: Stack, _rng: Random) -> Struck:
    return await _command(stack, "cut-connections", "CLIENT KILL TYPE normal")


async def _flush_scripts(stack: Stack, _rng: Random) -> Struck:
    return await _command(stack, "flush-scripts", "SCRIPT FLUSH")


async def _kill_server(stack: Stack, rng: Random) -> Struck:
    server, began = rng.choice(stack.servers), time.monotonic()
    server.kill()
    await asyncio.sleep(rng.uniform(*_AWAY_SECONDS))
    await stack.start(server)
    return Struck("kill-server", f"kill -9 of {server.name}, started again", began)


async def _empty_redis(stack: Stack, _rng: Random) -> Struck:
    return await _command(stack, "empty-redis", "FLUSHALL")


FAULTS: tuple[Strike, ...] = (
    _kill_node,
    _terminate_node,
    _pause_node,
    _kill_redis,
    _pause_redis,
    _cut_pubsub,
    _cut_connections,
    _flush_scripts,
    _kill_server,
)
LOSSY: tuple[Strike, ...] = (_empty_redis,)


def schedule(faults: Sequence[Strike], rng: Random) -> Iterator[tuple[float, Strike]]:
    """Seconds of peace and a fault, for ever. Each is drawn once before any comes again."""
    while True:
        for strike in rng.sample(faults, len(faults)):
            yield rng.uniform(*_GAP_SECONDS), strike


async def _command(stack: Stack, fault: str, command: str) -> Struck:
    began = time.monotonic()
    await stack.client.execute_command(*command.split())  # type: ignore[no-untyped-call]  # redis-py leaves it so
    return Struck(fault, command, began)


async def _pause(process: Process, seconds: float) -> float:
    """Pause a process, and return how long that really was."""
    began = time.monotonic()
    process.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        process.go_on()
    return time.monotonic() - began
