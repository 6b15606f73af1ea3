"""What a node does to keep the pool and its place in it: the sweep of every deadline, leases, its own channel."""

import secrets
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from redis import exceptions
from redis.asyncio import Redis

from match_server.errors import StoreUnavailable
from match_server.store.client import command
from match_server.store.scripts import Call, ItemFailed, ScriptRunner

SWEPT_PER_CALL = 100
_SCANNED_PER_CALL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep ended.

    `acted` is False when the pool's clock had stood still: then it is as if this sweep ran right behind the last one,
    and what it ended is what that one had left over.
    """

    acted: bool
    epoch: str  # a new one whenever Redis may have lost data
    redis_us: int  # Redis' own clock
    gap_seconds: float = 0
    loading_timeouts: int = 0
    allocation_timeouts: int = 0
    grace_ended: int = 0
    cancelled_by_leaving: int = 0
    queue_timeouts: int = 0
    dead_nodes: tuple[str, ...] = ()
    lost_servers: int = 0
    lost_sessions: int = 0
    overdue_sessions: int = 0
    more: bool = False  # something is left for another sweep, at once


class UpkeepStore:
    """Deadlines and leases of one matchmaking pool."""

    def __init__(self, runner: ScriptRunner, redis: Redis, *, prefix: str, node: str) -> None:
        self._runner = runner
        self._redis = redis
        self._prefix = prefix
        self._node = node

    async def sweep(self, *, period_us: int, grace_us: int, queue_timeout_us: int) -> Swept:
        """End everything whose time is up, `SWEPT_PER_CALL` players of each kind at most.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        run_id = await self._run_id()
        # One round trip: had Redis stood still between the sweep and what it allows, live nodes would be judged by the
        # time at which their judgement ran (tests/faults: test_redis_paused_between_a_sweep_and_its_judgement).
        replies = await self._runner.run(
            [
                Call("sweep", (period_us, run_id, secrets.token_hex(8))),
                Call("expire_nodes", (SWEPT_PER_CALL, grace_us)),
                Call("expire_players", (SWEPT_PER_CALL, queue_timeout_us)),
                Call("expire_sessions", (SWEPT_PER_CALL,)),
                Call("expire_servers", (SWEPT_PER_CALL,)),
            ]
        )
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        (act, gap_us, epoch, redis_us), nodes, players, sessions, servers = replies
        return Swept(
            acted=bool(act),
            epoch=epoch.decode(),
            redis_us=redis_us,
            gap_seconds=gap_us / 1_000_000,
            dead_nodes=tuple(node.decode() for node in nodes[1:]),
            grace_ended=players[0],
            cancelled_by_leaving=players[1],
            queue_timeouts=players[2],
            loading_timeouts=sessions[0],
            allocation_timeouts=sessions[1],
            lost_servers=servers[0],
            lost_sessions=servers[1],
            overdue_sessions=servers[2],
            more=bool(players[3] or sessions[2]) or nodes[0] >= SWEPT_PER_CALL,
        )

    async def renew(
        self, *, lease_us: int, game_modes: Iterable[str], allocations: Sequence[tuple[str, str]] = ()
    ) -> bool:
        """Extend this node's lease and those of its allocations, given as (game_mode, loading_session_id).

        Returns:
            Whether the node was still known; if not, it is new or was declared dead.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        (known,) = await self._runner.one("renew", self._node, lease_us, " ".join(game_modes), items=allocations)
        return bool(known)

    async def retire(self, *, grace_us: int) -> int:
        """Hold whoever is still attributed to this node, and end its lease. Returns how many were held.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        total, left = 0, 1
        while left:
            held, left = await self._runner.one("retire_node", self._node, grace_us, SWEPT_PER_CALL)
            total += held
        return total

    async def unattended(self, listening: Container[str]) -> set[str]:
        """Players attributed to this node that no session of it listens to.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        found: set[str] = set()
        cursor = 0
        while True:  # in pieces: Redis serves nobody else meanwhile
            key = f"{self._prefix}node_players:{self._node}"
            position, members = await command(self._redis, "SSCAN", key, cursor, "COUNT", _SCANNED_PER_CALL)
            found.update(player for player in map(bytes.decode, members) if player not in listening)
            cursor = int(position)
            if cursor == 0:
                return found

    async def release(self, players: Iterable[str], *, grace_us: int) -> int:
        """Hold players that this node does not attend to, as if their links had broken. Returns how many were held.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        call = Call("release_players", (self._node, grace_us), [(player,) for player in players])
        held = 0
        for reply in await self._runner.run(call.chunks()):
            if isinstance(reply, StoreUnavailable):
                raise reply
            held += sum(entry == b"held" for entry in reply if not isinstance(entry, ItemFailed))
        return held

    async def secret(self, proposed: str) -> str:
        """The pool's secret, which signs resume tokens: the first one that any node proposed.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        key = f"{self._prefix}secret"
        while not (stored := await command(self._redis, "GET", key)):  # Redis may be emptied behind the SET, too
            await command(self._redis, "SET", key, proposed, "NX")
        return str(stored.decode())

    async def publish_to_node(self, message: str) -> None:
        """Publish on this node's own channel, whose silence tells that the pub/sub link is dead.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        await command(self._redis, "PUBLISH", f"{self._prefix}node:{self._node}", message)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        await command(self._redis, "PING")

    async def _run_id(self) -> str:
        """Redis' run id, which changes when it restarts."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.info("server")
        try:
            (info,) = await pipeline.execute()
        except (exceptions.RedisError, OSError) as error:
            raise StoreUnavailable(str(error)) from error
        return str(info["run_id"])
