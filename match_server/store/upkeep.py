"""What a node does to keep the pool and its place in it: the sweep of every deadline, leases, its own channel."""

import json
import secrets
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from redis.asyncio import Redis

from match_server.errors import StoreRefuses, StoreUnavailable
from match_server.store.client import command
from match_server.store.scripts import Call, ItemFailed, ScriptRunner

SWEPT_PER_CALL = 100
RECENT_EVENTS = 10_000  # that stay in the stream though every sink has stored them
_SCANNED_PER_CALL = 500
_RENEWED_PER_CALL = 500  # allocations
# A new key signs once every node publishes it, and whoever keeps the published keys for as long as they say (five
# minutes) has read them again.
SIGNING_KEY_AHEAD_SECONDS = 600
SIGNING_KEY_OVERLAP_SECONDS = 86_400  # more than dedicated servers keep the published keys, and than a token is good


@dataclass(frozen=True, slots=True)
class WithoutSlot:
    """A ready match that found no free slot in time; its players are back in the queue."""

    loading_session_id: str
    game_mode: str
    players: tuple[str, ...]
    tried: tuple[str, ...]  # the servers of its attempts

    @classmethod
    def parse(cls, entry: bytes) -> "WithoutSlot":
        """Read an entry of expire_sessions' answer."""
        loading_session_id, game_mode, players, tried = entry.decode().split("\n")
        return cls(loading_session_id, game_mode, tuple(players.split()), tuple(tried.split()))


@dataclass(frozen=True, slots=True)
class LostServer:
    """A dedicated server whose lease ran out."""

    server_id: str
    sessions: int  # that it had

    @classmethod
    def parse(cls, entry: bytes) -> "LostServer":
        """Read an entry of expire_servers' answer."""
        server_id, sessions = entry.decode().split("\n")
        return cls(server_id, int(sessions))


@dataclass(frozen=True, slots=True)
class LostEvents:
    """Events that were deleted before a sink had stored them, by their numbers."""

    sink: str
    first: int
    last: int

    @classmethod
    def parse(cls, entry: Sequence[bytes]) -> "LostEvents":
        """Read an entry of trim_events' answer."""
        sink, first, last = entry
        return cls(sink.decode(), int(first), int(last))


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
    without_slot: tuple[WithoutSlot, ...] = ()
    grace_ended: int = 0
    cancelled_by_leaving: int = 0
    queue_timeouts: int = 0
    party_timeouts: int = 0
    dead_nodes: tuple[str, ...] = ()
    dead_addresses: tuple[str, ...] = ()  # where those nodes were, as far as they had said it
    lost_servers: tuple[LostServer, ...] = ()
    overdue_sessions: int = 0
    lost_events: tuple[LostEvents, ...] = ()
    more: bool = False  # something is left for another sweep, at once


class UpkeepStore:
    """Deadlines and leases of one matchmaking pool."""

    def __init__(self, runner: ScriptRunner, redis: Redis, *, prefix: str, node: str, publish: str = "PUBLISH") -> None:
        """`publish` is the command that publishes: SPUBLISH in a cluster."""
        self._publish = publish
        self._runner = runner
        self._redis = redis
        self._prefix = prefix
        self._node = node

    async def sweep(
        self,
        *,
        period_us: int,
        grace_us: int,
        queue_timeout_us: int,
        own_graces_us: Mapping[str, int] = MappingProxyType({}),
        own_queue_timeouts_us: Mapping[str, int] = MappingProxyType({}),
        events_keep: int = 0,
    ) -> Swept:
        """End everything whose time is up, `SWEPT_PER_CALL` players of each kind at most.

        `own_graces_us` and `own_queue_timeouts_us` are those of modes that set one; for the others `grace_us` and
        `queue_timeout_us` hold. Of the events `events_keep` stay at most, or fewer where all sinks have stored them; 0:
        there are none.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        run_id = await self._run_id()
        # One round trip: had Redis stood still between the sweep and what it allows, live nodes would be judged by the
        # time at which their judgement ran (tests/faults: test_redis_paused_between_a_sweep_and_its_judgement).
        replies = await self._runner.run(
            [
                Call("sweep", (period_us, run_id, secrets.token_hex(8))),
                Call("expire_nodes", (SWEPT_PER_CALL, grace_us), list(own_graces_us.items())),
                Call("expire_players", (SWEPT_PER_CALL, queue_timeout_us), list(own_queue_timeouts_us.items())),
                Call("expire_sessions", (SWEPT_PER_CALL,)),
                Call("expire_servers", (SWEPT_PER_CALL,)),
                *([Call("trim_events", (RECENT_EVENTS, events_keep))] if events_keep else []),
            ]
        )
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        (act, gap_us, epoch, redis_us), nodes, players, sessions, servers, *trimmed = replies
        return Swept(
            acted=bool(act),
            epoch=epoch.decode(),
            redis_us=redis_us,
            gap_seconds=gap_us / 1_000_000,
            dead_nodes=tuple(node.decode() for node in nodes[1::2]),
            dead_addresses=tuple(address for info in nodes[2::2] if (address := _address(info))),
            grace_ended=players[0],
            cancelled_by_leaving=players[1],
            queue_timeouts=players[2],
            party_timeouts=players[3],
            loading_timeouts=sessions[0],
            without_slot=tuple(map(WithoutSlot.parse, sessions[3:])),
            lost_servers=tuple(map(LostServer.parse, servers[2:])),
            overdue_sessions=servers[0],
            lost_events=tuple(map(LostEvents.parse, trimmed[0])) if trimmed else (),
            more=bool(players[4] or sessions[2] or servers[1]) or nodes[0] >= SWEPT_PER_CALL,
        )

    async def renew(
        self,
        *,
        lease_us: int,
        game_modes: Iterable[str],
        info: str = "",
        allocations: Sequence[tuple[str, str]] = (),
    ) -> bool:
        """Extend this node's lease, or those of its allocations, given as (game_mode, loading_session_id).

        `info` is what the node says of itself, as JSON; without it, only allocations are renewed.

        Returns:
            Whether the node was still known; if not, it is new or was declared dead.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        arguments = (self._node, lease_us, " ".join(game_modes), info)
        known = 1
        for start in range(0, max(1, len(allocations)), _RENEWED_PER_CALL):
            page = allocations[start : start + _RENEWED_PER_CALL]
            (known,) = await self._runner.one("renew", *arguments, items=page)
        return bool(known)

    async def hand_over(self, allocations: Sequence[tuple[str, str]]) -> int:
        """End the leases of these allocations, given as (game_mode, loading_session_id), so that others adopt them.

        Returns:
            How many were this node's still.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        handed_over = 0
        for start in range(0, len(allocations), _RENEWED_PER_CALL):
            page = allocations[start : start + _RENEWED_PER_CALL]
            handed_over += (await self._runner.one("hand_over", self._node, items=page))[0]
        return handed_over

    async def due_modes(self, *, period_us: int, not_formed: Mapping[str, bool] = MappingProxyType({})) -> list[str]:
        """The game modes in which somebody waits, and which no node has been given in this period.

        `not_formed` are those of which this node forms no match, and whether it places ready ones all the same.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        items = [(game_mode, int(places)) for game_mode, places in not_formed.items()]
        reply = await self._runner.one("due_modes", period_us, items=items)
        return [game_mode.decode() for game_mode in reply]

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

    async def signing_keys(self, proposed: str, *, rotate: bool = False) -> list[str]:
        """The pool's private signing keys, the one to sign with first (`match_server.signing`).

        `proposed` is taken if the pool has none. With `rotate` it is published, and signs ten minutes later; those
        before it stay published for another day.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated with the same key.
        """
        times = SIGNING_KEY_AHEAD_SECONDS * 1_000_000, SIGNING_KEY_OVERLAP_SECONDS * 1_000_000
        reply = await self._runner.one("signing_keys", proposed, *times, int(rotate))
        return [key.decode() for key in reply]

    async def publish(self, channel: str, message: str) -> None:
        """Publish a message.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        await command(self._redis, self._publish, channel, message)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        await command(self._redis, "PING")

    async def _run_id(self) -> str:
        """Redis' run id, which changes when it restarts; empty where this user may not read it."""
        try:
            info = await command(self._redis, "INFO", "server")
        except StoreRefuses:
            return ""
        return str(info["run_id"])


def _address(info: bytes) -> str:
    """Where a node was, by what it said of itself; empty where that cannot be read, which must stop no sweep."""
    try:
        said = json.loads(info or b"{}")
    except ValueError:
        return ""
    address = said.get("address") if isinstance(said, dict) else None
    return address if isinstance(address, str) else ""
