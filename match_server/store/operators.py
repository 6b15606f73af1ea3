"""What operators and metrics see of a pool, its queues and players, and what operators change in it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from match_server.errors import StoreUnavailable
from match_server.protocol import JourneyState
from match_server.store.journey import MATCHED_RECORD_SECONDS
from match_server.store.scripts import Call, ItemFailed, ScriptRunner

_MOST_NODES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """One game mode at one instant."""

    game_mode: str
    waiting: int
    held: int
    oldest_wait_seconds: float | None
    loading_sessions: int
    allocating_sessions: int
    unplaced_sessions: int
    matches_last_minute: int
    paused: bool
    free_slots: int  # of servers that take the mode
    tickets: int  # that can be matched; 0 in a mode that is drawn at random
    wait_percentiles: dict[str, float] | None  # p50, p90 and p99 of all who wait, in seconds; None with nobody there


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node at one instant."""

    node: str
    lease_seconds_left: float  # negative for one that is thought dead
    players: int
    said: dict[str, Any]  # what it last said of itself


class Removed(NamedTuple):
    """What became of a player whom an operator took out: `code` is one of remove_players.lua's."""

    code: str
    state: str  # in which the player was
    loading_session_id: str | None


class Position(NamedTuple):
    """Where a page of players ended: the mode and stage, and the player in it."""

    game_mode: str
    stage: str
    score: str = ""
    member: str = ""
    place: int = 0  # in the loading session


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPlayer:
    """One player of a list. `held` is within its grace."""

    player_id: str
    state: str
    game_mode: str
    held: bool
    node: str
    waited_seconds: float  # since it enqueued
    loading_session_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerStatus:
    """One player at one instant. `since` and `enqueued_at` are seconds since 1970, by Redis' clock."""

    state: JourneyState
    game_mode: str
    node: str
    connected: bool
    held: bool
    since: float  # when it got into this state
    since_seconds: float
    enqueued_at: float
    loading_session_id: str | None
    session_id: str | None  # once matched
    within_reach: bool  # no member of its party keeps its ticket from being matched

    @property
    def waited_seconds(self) -> float:
        """Since its enqueue."""
        return max(0.0, self.since + self.since_seconds - self.enqueued_at)


class OperatorStore:
    """The operators' view of one matchmaking pool."""

    def __init__(self, runner: ScriptRunner) -> None:
        self._runner = runner

    async def queues(self, game_modes: Sequence[str]) -> list[QueueStatus]:
        """Look at game modes, in one atomic reading.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        reply = await self._runner.one("queues", items=[(mode,) for mode in game_modes])
        return [
            QueueStatus(
                game_mode=mode,
                waiting=entry[0],
                held=entry[1],
                oldest_wait_seconds=entry[2] / 1000 if entry[2] >= 0 else None,
                loading_sessions=entry[3],
                allocating_sessions=entry[4],
                unplaced_sessions=entry[5],
                matches_last_minute=entry[6],
                paused=bool(entry[7]),
                free_slots=entry[8],
                tickets=entry[9],
                wait_percentiles=_wait_percentiles(entry[10:13]),
            )
            for mode, entry in zip(game_modes, reply, strict=True)
        ]

    async def pause(self, game_mode: str, *, paused: bool, by: str = "") -> bool:
        """Pause a mode, or let it go on. Returns whether it was not so already.

        `by` is the label of the operator's key.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        return bool(await self._runner.one("pause", game_mode, int(paused), by))

    async def note_blocked(self, game_mode: str, *, period_us: int) -> int:
        """Whether this node is the one that logs, in this period, that a mode's players find no slot.

        Returns:
            0 when it is; else the microseconds until that is to be logged again.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        (left_us,) = await self._runner.one("note_blocked", game_mode, period_us)
        return int(left_us)

    async def remove(self, player_ids: Sequence[str], *, players: int, by: str = "") -> list[Removed]:
        """Take players out of their queues, or out of matches that still load; their parties leave with them.

        `players` is the size of the largest match that may end with one of them, `by` the label of the operator's key.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        calls = Call("remove_players", (by,), [(player_id,) for player_id in player_ids]).chunks(players)
        removed: list[Removed] = []
        for reply in await self._runner.run(calls):
            if isinstance(reply, StoreUnavailable):
                raise reply
            for entry in reply:
                if isinstance(entry, ItemFailed):
                    raise entry
                code, state, loading_session_id = entry.decode().split("\n")
                removed.append(Removed(code, state, loading_session_id or None))
        return removed

    async def nodes(self) -> list[NodeStatus]:
        """Look at the nodes of the pool, in one atomic reading.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        return [
            NodeStatus(
                node=node.decode(),
                lease_seconds_left=lease_ms / 1000,
                players=players,
                said=json.loads(info) if info else {},
            )
            for node, lease_ms, players, info in await self._runner.one("nodes", _MOST_NODES)
        ]

    async def players(self, after: Position, limit: int) -> tuple[list[ListedPlayer], Position | None]:
        """List players of one mode and stage, longest first.

        Returns:
            At most `limit` of them, and where they end; None when nobody stands behind them.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        reply = await self._runner.one("players", *after, limit)
        players = [
            ListedPlayer(
                player_id=player.decode(),
                state=state.decode(),
                game_mode=after.game_mode,
                held=bool(held),
                node=node.decode(),
                waited_seconds=waited_ms / 1000,
                loading_session_id=session.decode() or None,
            )
            for player, state, held, node, waited_ms, session, *_ in reply
        ]
        if len(reply) < limit:
            return players, None
        *_, score, member, index = reply[-1]
        return players, after._replace(score=score.decode(), member=member.decode(), place=index)

    async def player(self, player_id: str) -> PlayerStatus | None:
        """Look at a player, in one atomic reading; None without a record.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        reply = await self._runner.one("player", player_id, MATCHED_RECORD_SECONDS)
        if not reply:
            return None
        state, mode, node, connected, held, since_us, enqueued_us, now_us, loading_session_id, match, within_reach = (
            reply
        )
        return PlayerStatus(
            state=cast("JourneyState", state.decode()),
            game_mode=mode.decode(),
            node=node.decode(),
            connected=bool(connected),
            held=bool(held),
            since=since_us / 1_000_000,
            since_seconds=max(0, now_us - since_us) / 1_000_000,
            enqueued_at=enqueued_us / 1_000_000,
            loading_session_id=loading_session_id.decode() or None,
            # All its players share this part of `match_found`: what follows the frame's own `seq`.
            session_id=json.loads(b"{" + match[1:])["session_id"] if match else None,
            within_reach=bool(within_reach),
        )


def _wait_percentiles(waits_ms: Sequence[int]) -> dict[str, float] | None:
    if waits_ms[0] < 0:
        return None
    return {name: wait / 1000 for name, wait in zip(("p50", "p90", "p99"), waits_ms, strict=True)}
