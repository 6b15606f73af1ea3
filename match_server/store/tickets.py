"""Tickets of the modes whose matches are formed by rules: the proposer's picture of who waits, and its proposals.

A proposer takes the lease of its mode, reads the snapshot page by page, then the feed from the first page's `head` on.
A gap in the feed, or another epoch, means that it starts over with a snapshot. What it proposes is checked by `form`,
which keeps every invariant whatever is proposed, and whoever proposes.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal, TypeAlias

from pydantic_core import from_json, to_json

from match_server.errors import StoreUnavailable
from match_server.matching.tickets import Meeting
from match_server.store.scripts import Call, ItemFailed, ScriptRunner

LEASE_SECONDS = 2.0  # how soon another node proposes when the proposer's node dies
TICKETS_PER_PAGE = 100
CHANGES_PER_READ = 500
_GIVEN_PER_CALL = 32

Attributes: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One player's part of a ticket: what it brings of its own, and the party that it belongs to."""

    attributes: Attributes = field(default_factory=dict)
    party_id: str = ""  # empty: a player alone
    party_size: int = 1

    def encode(self) -> str:
        """The text that the scripts take, and carry without reading the attributes."""
        return f"{self.party_id} {self.party_size} {to_json(self.attributes).decode()}"

    @classmethod
    def decode(cls, text: str) -> "Part":
        """Read what `encode` wrote."""
        party_id, party_size, attributes = text.split(" ", 2)
        return cls(from_json(attributes), party_id, int(party_size))


def party_size_of(part: str) -> int:
    """The party's size in an encoded `Part`, whose attributes are not read."""
    return int(part.split(" ", 2)[1])


@dataclass(frozen=True, slots=True)
class WaitingTicket:
    """A ticket that can be proposed."""

    ticket_id: str
    version: int
    enqueued_at_us: int  # of the pool's clock
    party_id: str  # empty: a player alone
    players: tuple[str, ...]
    attributes: Mapping[str, Attributes]  # by player

    @classmethod
    def parse(cls, text: str) -> "WaitingTicket":
        """Read a ticket as the scripts write it."""
        ticket_id, version, enqueued_at, party_id, players, attributes = text.split("\n")
        return cls(
            ticket_id=ticket_id,
            version=int(version),
            enqueued_at_us=int(enqueued_at),
            party_id=party_id,
            players=tuple(from_json(players)),
            attributes=from_json(attributes),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a snapshot."""

    tickets: tuple[WaitingTicket, ...]
    cursor: str  # of the next page; empty behind the last one
    head: int  # the id of the feed's last change when the page was read
    epoch: str
    now_us: int  # of the pool's clock


@dataclass(frozen=True, slots=True)
class Put:
    """A ticket can be proposed from now on, in this version."""

    ticket: WaitingTicket


@dataclass(frozen=True, slots=True)
class Gone:
    """Tickets cannot be proposed any more: for a while (`held`), or because they are matched or have left."""

    ticket_ids: tuple[str, ...]
    held: bool


Change: TypeAlias = Put | Gone


@dataclass(frozen=True, slots=True)
class Feed:
    """Changes, in order. With a `gap` some are missing, and only a new snapshot helps."""

    changes: tuple[Change, ...]
    gap: bool
    head: int  # the id of the last of these changes: where to read on
    epoch: str
    now_us: int  # of the pool's clock


@dataclass(frozen=True, slots=True)
class Lease:
    """Who proposes for a mode, empty for nobody. `fence` grows with each change of the holder."""

    node: str
    fence: int
    without_ticket: int = field(default=0, compare=False)  # players of a mode that was drawn at random when they came
    epoch: str = field(default="", compare=False)
    rules_differ: bool = field(default=False, compare=False)  # the asking node's from the pool's: it may not propose


@dataclass(frozen=True, slots=True)
class Proposal:
    """Tickets that the rules allow to play with each other."""

    tickets: tuple[WaitingTicket, ...]
    details: Mapping[str, Any]  # further fields of the frames and of the create call: teams, roles, properties, …
    region: str = ""  # empty: any
    differences: Mapping[str, float] = field(default_factory=dict)  # of the match, by what the rules compare


@dataclass(frozen=True, slots=True)
class Formed:
    """A proposal has become a match."""

    loading_session_id: str
    waits_us: tuple[int, ...]  # how long each of its players had waited


@dataclass(frozen=True, slots=True)
class Stale:
    """A proposal changed nothing: this ticket is gone, of another version, or a member cannot be reached."""

    ticket_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A proposal changed nothing: no server would have room for it, or the mode forms nothing by these rules now."""

    code: Literal["no_slot", "queue_paused", "other_rules"]


Outcome: TypeAlias = Formed | Stale | Refused | ItemFailed | StoreUnavailable


@dataclass(frozen=True, slots=True)
class PoolRules:
    """The rules that hold in the pool: the highest revision that a node has published."""

    revision: int
    versions: Mapping[str, str]  # by game mode


class TicketStore:
    """Waiting tickets and proposals, one matchmaking pool."""

    def __init__(self, runner: ScriptRunner, *, node: str) -> None:
        self._runner = runner
        self._node = node

    async def take_lease(self, game_mode: str, rules_version: str) -> Lease:
        """Take or keep the lease of a mode for `LEASE_SECONDS`. The answer names its holder, this node or another.

        A node whose rules are not the pool's gets none.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        lease_us = int(LEASE_SECONDS * 1_000_000)
        arguments = (game_mode, self._node, lease_us, rules_version)
        node, fence, without_ticket, epoch, differ = await self._runner.one("lease_proposer", *arguments)
        return Lease(node.decode(), int(fence), without_ticket, epoch.decode(), bool(differ))

    async def give_tickets(self, game_mode: str, attributes: Attributes) -> int:
        """Give tickets to players who came while the mode was drawn at random, a batch of them; returns how many.

        `attributes` are each one's, for they have brought none.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        text = to_json(attributes).decode()
        return int(await self._runner.one("give_tickets", game_mode, text, _GIVEN_PER_CALL))

    async def snapshot(self, game_mode: str, cursor: str = "") -> Page:
        """Read a page of the waiting tickets, oldest first.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        head, epoch, now_us, following, *tickets = await self._runner.one(
            "snapshot", game_mode, cursor, TICKETS_PER_PAGE
        )
        return Page(
            tickets=tuple(WaitingTicket.parse(ticket.decode()) for ticket in tickets),
            cursor=following.decode(),
            head=int(head),
            epoch=epoch.decode(),
            now_us=int(now_us),
        )

    async def feed(self, game_mode: str, after: int, *, lease: Lease | None = None) -> Feed:
        """Read the changes behind the one that `after` names. The lease's holder has those before it deleted.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        fence = lease.fence if lease else ""
        gap, head, epoch, now_us, *flat = await self._runner.one("read_feed", game_mode, after, CHANGES_PER_READ, fence)
        texts = [text.decode() for text in flat]
        return Feed(
            changes=tuple(_change(kind, text) for kind, text in zip(texts[::2], texts[1::2], strict=True)),
            gap=bool(gap),
            head=int(head),
            epoch=epoch.decode(),
            now_us=int(now_us),
        )

    async def form(
        self,
        game_mode: str,
        proposals: Sequence[Proposal],
        *,
        rules_version: str,
        loading_timeout_us: int,
        remember_seconds: float = 0,
    ) -> list[Outcome]:
        """Form the matches that still can be formed, each on its own. Proposals must not share a ticket.

        `remember_seconds`: for how long `meetings` is to know of those that are found.

        Returns, in order, what became of each; `StoreUnavailable` where Redis gave no answer: it may have been formed.

        Raises:
            StoreUnavailable: Redis gave no answer at all.
        """
        if not proposals:
            return []
        players = max(sum(len(ticket.players) for ticket in proposal.tickets) for proposal in proposals)
        arguments = (game_mode, rules_version, secrets.token_hex(16), loading_timeout_us, ceil(remember_seconds))
        call = Call("form", arguments, [_item(proposal, rules_version) for proposal in proposals])
        calls = call.chunks(max(1, players))
        outcomes: list[Outcome] = []
        for chunk, reply in zip(calls, await self._runner.run(calls), strict=True):
            if isinstance(reply, StoreUnavailable):
                outcomes.extend([reply] * len(chunk.items))
            else:
                outcomes.extend(entry if isinstance(entry, ItemFailed) else _outcome(entry) for entry in reply)
        return outcomes

    async def meetings(self, players: Sequence[str]) -> dict[str, tuple[Meeting, ...]]:
        """Whom these players have had in their last matches, as far as those were to be remembered.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        found: dict[str, tuple[Meeting, ...]] = {}
        for chunk in Call("meetings", (), [(player,) for player in players]).chunks():
            (reply,) = await self._runner.run([chunk])
            if isinstance(reply, StoreUnavailable):
                raise reply
            for (player,), entry in zip(chunk.items, reply, strict=True):
                words = entry.decode().split()
                met = zip(words[::2], words[1::2], strict=True)
                found[player] = tuple(Meeting(other, float(at_us) / 1_000_000) for other, at_us in met)
        return found

    async def publish_rules(
        self, revision: int, versions: Mapping[str, str], *, only_if_lost: bool = False
    ) -> PoolRules:
        """Make these rules the pool's, unless the pool has a higher revision. Returns what holds now.

        At a start and on SIGHUP; with `only_if_lost` whenever Redis may have lost data.

        Raises:
            StoreUnavailable: Redis gave no answer; may be repeated.
        """
        reply = await self._runner.one("publish_rules", revision, int(only_if_lost), items=list(versions.items()))
        held, *flat = [text.decode() for text in reply]
        return PoolRules(int(held), dict(zip(flat[::2], flat[1::2], strict=True)))


def _item(proposal: Proposal, rules_version: str) -> tuple[str, str, str, str]:
    tickets = " ".join(f"{ticket.ticket_id} {ticket.version}" for ticket in proposal.tickets)
    details = to_json({**proposal.details, "rules_version": rules_version}).decode()
    return tickets, proposal.region, "," + details[1:-1], to_json(proposal.differences).decode()


def _change(kind: str, text: str) -> Change:
    if kind == "put":
        return Put(WaitingTicket.parse(text))
    return Gone(tuple(text.split(" ")), held=kind == "held")


def _outcome(entry: bytes) -> Outcome:
    code, *fields = entry.decode().split("\n")
    match code:
        case "formed":
            loading_session_id, waits = fields
            return Formed(loading_session_id, tuple(int(wait) for wait in waits.split()))
        case "stale":
            return Stale(fields[0])
        case "no_slot" | "queue_paused" | "other_rules":
            return Refused(code)
    raise ValueError(f"form answered {code!r}")
