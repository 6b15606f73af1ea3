"""The journey's transitions: enqueue, match, ready, place, confirm, fail, leave, hold, resume. One script each."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic_core import to_json

from match_server.errors import StoreUnavailable
from match_server.servers.provider import Order
from match_server.setting_types import Placement
from match_server.store.scripts import Call, ItemFailed, ScriptRunner
from match_server.store.tickets import party_size_of

MATCHED_RECORD_SECONDS = 120
_PLAYERS_PER_TRY_MATCH = 32  # half a millisecond in which Redis serves nobody else; a full queue takes some in a row
_PLAYERS_PER_PLACE = 128
_PLAYERS_PER_ADOPT = 128

Outcome = Literal["full", "wrong", "unreadable", "error", "unknown", "lost"]
Failure = StoreUnavailable | ItemFailed


class Enqueue(NamedTuple):
    """Put a player into the queue, or into its party's ticket. `operation` grows within a connection.

    `asked_us` is when the client's message was received, by Redis' clock: a claim that comes late must not take the
    player from a newer connection (docs/races.md, 23). `part` is the player's part of a ticket (`tickets.Part`), empty
    in a mode that is drawn at random; `estimated_wait` what such a ticket has to wait, in seconds, empty when unknown.
    """

    player_id: str
    connection: str
    operation: int
    resume_token: str
    asked_us: int
    part: str = ""
    estimated_wait: str = ""


class Ready(NamedTuple):
    """A player has finished loading."""

    player_id: str
    connection: str
    loading_session_id: str


class Leave(NamedTuple):
    """A player leaves: it asked to (`requested`), or its client closed cleanly (`disconnected`)."""

    player_id: str
    connection: str
    operation: int
    reason: Literal["requested", "disconnected"]


class Hold(NamedTuple):
    """A player's link broke; it keeps its place for the grace time."""

    player_id: str
    connection: str
    grace_us: int


class Resume(NamedTuple):
    """A player comes back on a new connection. `game_mode` and `made_at_us` are what its token says.

    `made_at_us` is empty when no signature vouches for it: then only the player's record can prove the token.
    `asked_us` and `part` are as in `Enqueue`.
    """

    player_id: str
    connection: str
    node: str
    operation: int
    resume_token: str
    game_mode: str
    made_at_us: int | str
    asked_us: int
    part: str = ""


class CatchUp(NamedTuple):
    """A session asks for the frames it may have missed, those after `seq`."""

    player_id: str
    connection: str
    resume_token: str
    claimed_seq: int  # of the first frame of this journey on this connection
    seq: int


class Reassert(NamedTuple):
    """A session says what its client was last told, for a Redis that may have lost it."""

    player_id: str
    connection: str
    node: str
    operation: int
    resume_token: str
    game_mode: str
    enqueued_at: str  # microseconds of the pool's clock, as Redis gave it
    claimed_seq: int  # of the first frame of this journey on this connection
    seq: int
    state: str
    loading_session_id: str
    epoch: str
    part: str = ""  # as in `Enqueue`


class Confirm(NamedTuple):
    """A dedicated server made the session."""

    loading_session_id: str
    attempt: int
    session_id: str
    server_address: str | None  # None: the one that the server registered
    join_tokens: tuple[str, ...] = ()  # of its players, in their order


class Fail(NamedTuple):
    """A dedicated server did not make the session."""

    loading_session_id: str
    attempt: int
    outcome: Outcome
    detail: str  # what was said or happened, in words, for the server's record
    wait_us: int | str = ""  # for a free slot, in this match's mode; empty: the store's own


@dataclass(frozen=True, slots=True)
class Failed:
    """What becomes of an allocation after a failed attempt; `code` is one of fail.lua's."""

    code: str
    next_order: Order | None = None  # when `placed`
    tried: tuple[str, ...] = ()  # the servers of all attempts, when the allocation is given up


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script said of one item. `fields` are the script's further entries, as text."""

    code: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Readied:
    """What became of a `Ready`: the order, when this player was the last one and a slot was free."""

    code: str
    order: Order | None
    loading_ms: int | None  # when this player was the last one


@dataclass(frozen=True, slots=True)
class Matched:
    """What a TryMatch formed."""

    formed: int = 0
    more: bool = False  # another call would form a match now
    unplaced: int = 0  # ready matches that wait for a slot
    waits_us: tuple[int, ...] = ()  # how long each matched player had waited
    lacks_slot: bool = False  # players wait for whom no dedicated server has room
    rules_differ: bool = False  # the pool's mode is another than this node's: it forms none


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What became of a `Confirm`."""

    code: str
    players: tuple[str, ...] = ()
    since_match_ms: int | None = None  # from the match to this confirmation


@dataclass(slots=True)
class Step:
    """What has gathered in a matchmaker's mailbox: one script call per kind, one round trip for all."""

    enqueues: list[Enqueue] = field(default_factory=list)
    readies: list[Ready] = field(default_factory=list)
    leaves: list[Leave] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    resumes: list[Resume] = field(default_factory=list)
    catch_ups: list[CatchUp] = field(default_factory=list)
    reasserts: list[Reassert] = field(default_factory=list)
    match: int = 0  # how many calls of try_match
    rules_version: str = ""  # of this node's mode
    place: bool = False
    closed: bool = False  # the mode takes nobody in
    loading_timeout_us: int | None = None  # of this mode; None: the store's own
    wait_us: int | None = None  # likewise, for a free slot


@dataclass(slots=True)
class StepResult:
    """The answers, in the order of the step's items."""

    enqueues: list[Answer | Failure] = field(default_factory=list)
    readies: list[Readied | Failure] = field(default_factory=list)
    leaves: list[Answer | Failure] = field(default_factory=list)
    holds: list[Answer | Failure] = field(default_factory=list)
    resumes: list[Answer | Failure] = field(default_factory=list)
    catch_ups: list[Answer | Failure] = field(default_factory=list)
    reasserts: list[Answer | Failure] = field(default_factory=list)
    matched: Matched = field(default_factory=Matched)
    placed: list[Order] = field(default_factory=list)

    def take_matched(self, reply: Sequence[int]) -> None:
        """Read what try_match said; nothing when Redis refused it for now."""
        if reply:
            formed, more, unplaced, *waits = reply
            before = self.matched
            self.matched = Matched(
                formed=before.formed + formed,
                more=more == 1,
                unplaced=unplaced,
                waits_us=before.waits_us + tuple(waits),
                lacks_slot=more == 2,
                rules_differ=more == 3,
            )

    def take_placed(self, reply: Sequence[bytes]) -> None:
        """Read the orders of place; none when Redis refused it for now."""
        self.placed = [Order.parse(order.decode()) for order in reply]


@dataclass(frozen=True, slots=True)
class AllocationPolicy:
    """Who allocates, where to, and how long it may take."""

    node: str
    lease_us: int
    wait_us: int
    attempts: int
    placement: Placement = "spread"


class JourneyStore:
    """The transitions of players and matches, one matchmaking pool."""

    def __init__(
        self, runner: ScriptRunner, *, policy: AllocationPolicy, loading_timeout_us: int, party_timeout_us: int
    ) -> None:
        self._runner = runner
        self._policy = policy
        self._loading_timeout_us = loading_timeout_us
        self._party_timeout_us = party_timeout_us

    async def step(self, game_mode: str, size: int, step: Step) -> StepResult:
        """Run everything that waits for one game mode in one round trip.

        Raises:
            StoreUnavailable: Redis gave no answer; the step may have taken effect, and may be repeated.
        """
        policy = self._policy
        wait_us = policy.wait_us if step.wait_us is None else step.wait_us
        loading_timeout_us = self._loading_timeout_us if step.loading_timeout_us is None else step.loading_timeout_us
        result = StepResult()
        batches: list[tuple[Call, Callable[[Any], None]]] = [
            (Call("leave", (), step.leaves), _into(result.leaves, _answer)),
            (Call("hold", (), step.holds), _into(result.holds, _answer)),
            (Call("resume", (self._party_timeout_us,), step.resumes), _into(result.resumes, _answer)),
            (self._enqueue(game_mode, step.enqueues, closed=step.closed), _into(result.enqueues, _answer)),
            (
                Call("ready", (policy.node, policy.lease_us, wait_us, policy.placement), step.readies),
                _into(result.readies, _readied),
            ),
            (Call("catch_up", (), step.catch_ups), _into(result.catch_ups, _answer)),
            (Call("reassert", (self._party_timeout_us,), step.reasserts), _into(result.reasserts, _answer)),
        ]
        plan = [(chunk, sink) for call, sink in batches for chunk in call.chunks(_players_of_an_item(call, size))]
        if step.place:
            limit = max(1, _PLAYERS_PER_PLACE // size)
            arguments = (game_mode, policy.node, policy.lease_us, wait_us, policy.placement, limit)
            plan.append((Call("place", arguments), result.take_placed))
        for _ in range(step.match):
            seed = secrets.token_hex(16)
            matching = (game_mode, size, _PLAYERS_PER_TRY_MATCH, seed, loading_timeout_us, step.rules_version)
            plan.append((Call("try_match", matching), result.take_matched))
        replies = await self._runner.run([call for call, _ in plan])
        for (call, sink), reply in zip(plan, replies, strict=True):
            # A refusal of the whole call is the answer to each of its items.
            sink([reply] * len(call.items) if isinstance(reply, StoreUnavailable) else reply)
        return result

    def _enqueue(self, game_mode: str, items: Sequence[Enqueue], *, closed: bool) -> Call:
        """All players of a mode bring a part of a ticket, or none does: its matches are drawn at random."""
        if items and items[0].part:
            arguments = (game_mode, self._policy.node, self._party_timeout_us, int(closed))
            return Call("enqueue_ticket", arguments, items)
        return Call("enqueue", (game_mode, self._policy.node), [item[:5] for item in items])

    async def confirm(self, items: Sequence[Confirm], *, players: int = 2) -> list[Confirmed | ItemFailed]:
        """Turn created sessions into matches and tell their players, `players` at most in each.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        said = [
            (*item[:3], to_json(item.server_address) if item.server_address else b"", " ".join(item.join_tokens))
            for item in items
        ]
        reply = await self._in_chunks(Call("confirm", (MATCHED_RECORD_SECONDS,), said), players)
        return [entry if isinstance(entry, ItemFailed) else _confirmed(entry) for entry in reply]

    async def fail(self, items: Sequence[Fail], *, players: int = 2) -> list[Failed | ItemFailed]:
        """End an attempt: another server, a wait for a slot, or the queue again; `players` at most in each match.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        policy = self._policy
        arguments = (policy.node, policy.lease_us, policy.wait_us, policy.placement, policy.attempts)
        reply = await self._in_chunks(Call("fail", arguments, items), players)
        return [entry if isinstance(entry, ItemFailed) else _failed(entry) for entry in reply]

    async def _in_chunks(self, call: Call, players: int) -> list[Any]:
        entries: list[Any] = []
        for reply in await self._runner.run(call.chunks(players)):
            if isinstance(reply, StoreUnavailable):
                raise reply
            entries.extend(reply)
        return entries

    async def adopt(self) -> tuple[list[Order], bool]:
        """Take over allocations whose lease ran out, a bounded number; and whether there may be more.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        policy = self._policy
        arguments = (policy.node, policy.lease_us, policy.wait_us, policy.placement, policy.attempts)
        more, *orders = await self._runner.one("adopt", *arguments, _PLAYERS_PER_ADOPT)
        return [Order.parse(order.decode()) for order in orders], bool(more)


def _players_of_an_item(call: Call, size: int) -> int:
    """How many players one item of a call touches at most, in a mode with matches of this size."""
    if call.script in {"leave", "reassert"}:  # it may end a match
        return size
    if call.script == "enqueue_ticket":  # everybody in its party is told
        return max(party_size_of(part) for *_, part, _ in call.items)
    return 1


def _into(answers: list[Any], parse: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A sink that parses each entry of a reply, and keeps an entry that is a failure as it is."""

    def sink(entries: Any) -> None:
        answers.extend(entry if isinstance(entry, StoreUnavailable | ItemFailed) else parse(entry) for entry in entries)

    return sink


def _answer(entry: bytes) -> Answer:
    code, *fields = entry.decode().split("\n")
    return Answer(code, tuple(fields))


def _readied(entry: bytes) -> Readied:
    code, *last = entry.decode().split("\n")
    if not last:
        return Readied(code, order=None, loading_ms=None)
    order, loading_ms = last
    return Readied(code, order=Order.parse(order) if order else None, loading_ms=_none_below_0(loading_ms))


def _confirmed(entry: bytes) -> Confirmed:
    code, since_match_ms, *players = entry.decode().split("\n")
    return Confirmed(code, players=tuple(players), since_match_ms=_none_below_0(since_match_ms))


def _failed(entry: bytes) -> Failed:
    code, _, rest = entry.decode().partition("\n")
    if code == "placed":
        return Failed(code, next_order=Order.parse(rest))
    return Failed(code, tried=tuple(rest.split()))


def _none_below_0(text: str) -> int | None:
    number = int(text)
    return number if number >= 0 else None
