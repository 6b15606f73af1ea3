"""A node without sockets: it fills a queue through the store's own methods, and plays its players' part afterwards.

A hundred thousand waiting players are more connections than one machine holds for a benchmark, and by contract a
connection has one player. So this process enqueues players as a node does, in the same batches through the same
scripts, keeps its lease, answers `start_loading` for them, provisions the matches that its answers complete, and puts
its players back when Redis has lost them. What it costs itself is in no figure.
"""

import argparse
import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import hiredis

from benchmarks.load.command_loop import Answer, run_process, serve_commands
from benchmarks.load.players import START_LOADING, text_field
from match_server.servers.http_provider import HttpProvider
from match_server.servers.provider import Created, Order
from match_server.signing import SigningKeys
from match_server.store.client import connect
from match_server.store.journey import (
    AllocationPolicy,
    CatchUp,
    Confirm,
    Enqueue,
    JourneyStore,
    Readied,
    Ready,
    Reassert,
    Step,
)
from match_server.store.journey import Answer as Answered
from match_server.store.scripts import ScriptRunner, load_scripts
from match_server.store.upkeep import UpkeepStore

_BATCH = 250  # players per call, as a matchmaker's batch
_SESSIONS_PER_CALL = 64
_CALLS_AT_A_TIME = 2
_LEASE_US = 5_000_000
_LOADING_TIMEOUT_US = 60_000_000
_PARTY_TIMEOUT_US = 60_000_000
_RENEW_SECONDS = 0.5
_PREFIX = b"notifications:"

T = TypeVar("T")


class Ghost:
    """One player, as a session would remember it."""

    __slots__ = ("connection", "enqueued_at", "epoch", "player_id", "seq", "token")

    def __init__(self, player_id: str) -> None:
        self.player_id = player_id
        self.connection = uuid.uuid4().hex
        self.token = f"token-of-{player_id}"
        self.seq = 0
        self.enqueued_at = "0"
        self.epoch = ""


class Ghosts:
    """The players and what they do."""

    def __init__(self, redis_socket: str, game_mode: str, players: int) -> None:
        self._redis_socket = redis_socket
        self._mode = game_mode
        self._size = players
        self._node = f"ghosts-{uuid.uuid4().hex[:8]}"
        redis = connect(f"unix://{redis_socket}")
        runner = ScriptRunner(redis, prefix="", scripts=load_scripts())
        policy = AllocationPolicy(node=self._node, lease_us=_LEASE_US, wait_us=30_000_000, attempts=5)
        self._journey = JourneyStore(
            runner, policy=policy, loading_timeout_us=_LOADING_TIMEOUT_US, party_timeout_us=_PARTY_TIMEOUT_US
        )
        self._upkeep = UpkeepStore(runner, redis, prefix="", node=self._node)
        self._provider = HttpProvider(timeout_seconds=3, sign=SigningKeys().call_token)
        self._ghosts: dict[str, Ghost] = {}
        self._loading: deque[Ready] = deque()
        self._orders: deque[Order] = deque()
        self._ready_to_load, self._ready_to_order = asyncio.Event(), asyncio.Event()
        self._forgotten = asyncio.Event()

    async def run(self) -> None:
        """Listen, keep the lease, play, and take commands until stdin ends."""
        await self._renew()
        await asyncio.get_running_loop().create_unix_connection(
            lambda: _PatternSubscriber(b"notifications:ghost-*", self._on_notice), self._redis_socket
        )
        tasks = [asyncio.create_task(work()) for work in (self._keep_lease, self._put_back, self._load)]
        tasks += [asyncio.create_task(self._provision()) for _ in range(_CALLS_AT_A_TIME)]
        for task in tasks:
            task.add_done_callback(_end_with_error)
        await serve_commands({"seed": self.seed})
        for task in tasks:
            task.cancel()

    async def seed(self, count: int) -> Answer:
        """Enqueue so many players."""
        began = time.monotonic()
        new = [Ghost(f"ghost-{index}") for index in range(len(self._ghosts), len(self._ghosts) + count)]
        for batch in _batches(new):
            now_us = time.time_ns() // 1000
            items = [Enqueue(ghost.player_id, ghost.connection, 1, ghost.token, now_us) for ghost in batch]
            result = await self._journey.step(self._mode, self._size, Step(enqueues=items))
            for ghost, answer in zip(batch, result.enqueues, strict=True):
                if not isinstance(answer, Answered) or answer.code != "queued":
                    raise RuntimeError(f"{ghost.player_id} was not queued: {answer}")
                _, seq, ghost.enqueued_at, ghost.epoch, *_ = answer.fields
                ghost.seq = int(seq)
                self._ghosts[ghost.player_id] = ghost
        return {"seconds": time.monotonic() - began}

    def _on_notice(self, channel: bytes, frame: bytes) -> None:
        if text_field(frame, b'"type":"') == START_LOADING:
            ghost = self._ghosts[channel.removeprefix(_PREFIX).decode()]
            session = text_field(frame, b'"loading_session_id":"').decode()
            self._loading.append(Ready(ghost.player_id, ghost.connection, session))
            self._ready_to_load.set()

    async def _load(self) -> None:
        """Say that players have loaded, as many at a time as wait to say so."""
        while True:
            await self._ready_to_load.wait()
            self._ready_to_load.clear()
            while items := _take(self._loading, _BATCH):
                result = await self._journey.step(self._mode, self._size, Step(readies=items))
                self._orders.extend(r.order for r in result.readies if isinstance(r, Readied) and r.order)
                self._ready_to_order.set()

    async def _provision(self) -> None:
        """Get sessions for complete matches, and confirm them."""
        while True:
            await self._ready_to_order.wait()
            self._ready_to_order.clear()
            while orders := _take(self._orders, _SESSIONS_PER_CALL):
                outcomes = await self._provider.create(orders)
                confirms = [
                    Confirm(order.loading_session_id, order.attempt, outcome.session_id, outcome.server_address)
                    for order, outcome in zip(orders, outcomes, strict=True)
                    if isinstance(outcome, Created)
                ]
                await self._journey.confirm(confirms)

    async def _keep_lease(self) -> None:
        """Renew the lease; a Redis that does not know this node any more has lost its players."""
        while True:
            if not await self._renew():
                self._forgotten.set()
            await asyncio.sleep(_RENEW_SECONDS)

    async def _renew(self) -> bool:
        return await self._upkeep.renew(lease_us=_LEASE_US, game_modes=[self._mode])

    async def _put_back(self) -> None:
        """Look at each record, then put it back, as sessions do. The lease is kept meanwhile."""
        while True:
            await self._forgotten.wait()
            self._forgotten.clear()
            for batch in _batches(list(self._ghosts.values())):
                looks = [CatchUp(g.player_id, g.connection, g.token, g.seq, g.seq) for g in batch]
                await self._journey.step(self._mode, self._size, Step(catch_ups=looks))
                items = [self._reassertion(ghost) for ghost in batch]
                await self._journey.step(self._mode, self._size, Step(reasserts=items))

    def _reassertion(self, ghost: Ghost) -> Reassert:
        return Reassert(
            ghost.player_id,
            ghost.connection,
            self._node,
            operation=2,
            resume_token=ghost.token,
            game_mode=self._mode,
            enqueued_at=ghost.enqueued_at,
            claimed_seq=ghost.seq,
            seq=ghost.seq,
            state="queued",
            loading_session_id="",
            epoch=ghost.epoch,
        )


class _PatternSubscriber(asyncio.Protocol):
    """A pub/sub connection that costs as little as it can."""

    def __init__(self, pattern: bytes, on_notice: Callable[[bytes, bytes], None]) -> None:
        self._pattern = pattern
        self._on_notice = on_notice
        self._reader = hiredis.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Subscribe."""
        command = b"*2\r\n$10\r\nPSUBSCRIBE\r\n$%d\r\n%s\r\n" % (len(self._pattern), self._pattern)
        cast("asyncio.Transport", transport).write(command)

    def data_received(self, data: bytes) -> None:
        """Pass notices on."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if reply[0] == b"pmessage":
                self._on_notice(reply[2], reply[3])


def _batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))


def _take(queue: deque[T], limit: int) -> list[T]:
    return [queue.popleft() for _ in range(min(limit, len(queue)))]


def _end_with_error(task: "asyncio.Task[None]") -> None:
    """A helper that has lost one of its parts would only let the run wait: stop, with the reason on stderr."""
    if not task.cancelled() and (error := task.exception()):
        asyncio.get_running_loop().call_exception_handler({"message": "the ghosts failed", "exception": error})
        asyncio.get_running_loop().stop()


def main() -> None:
    """Run until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.ghosts")
    parser.add_argument("--redis-socket", required=True)
    parser.add_argument("--game-mode", required=True)
    parser.add_argument("--players", type=int, required=True)
    options = parser.parse_args()
    run_process(lambda: Ghosts(options.redis_socket, options.game_mode, options.players).run())


if __name__ == "__main__":
    main()
