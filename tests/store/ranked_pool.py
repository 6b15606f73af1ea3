"""A pool with a mode whose matches are formed by rules: tickets, parties and proposals in plain words."""

from typing import Any

from match_server.store.tickets import (
    Change,
    Feed,
    Formed,
    Gone,
    Outcome,
    Part,
    Proposal,
    Put,
    TicketStore,
    WaitingTicket,
)
from tests.shared.invariants import contradictions
from tests.shared.look import Look
from tests.store.pool import LOADING_SECONDS, RANKED, SECOND_US, SIZES, Pool

RULES = "rules-1"


class RankedPool(Pool):
    """`RANKED` is the mode; its rules are in version `RULES`."""

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__(url, prefix)
        self.tickets = self.tickets_of("n1")
        self.do(self.tickets.publish_rules(0, {RANKED: RULES}))

    def tickets_of(self, node: str) -> TicketStore:
        return TicketStore(self.runner, node=node)

    def pass_time(self, seconds: float) -> None:
        """Move the clock; the node lives, and ends what is due."""
        self.move_clock(seconds)
        self.renew()
        assert self.sweep().acted
        self.check()

    # --- tickets ---

    def arrive(self, player: str, party: str = "", size: int = 1, *, rating: float = 1500, **more: Any) -> str:
        """Enqueue with a rating, alone or in a party. Returns the code."""
        part = Part({"rating": rating}, party, size)
        (code,) = self.enqueue(player, mode=RANKED, part=part, **more)
        self.check()
        return code

    def party(self, party: str, *players: str) -> WaitingTicket:
        """These players have gathered. Returns their ticket."""
        for player in players:
            self.arrive(player, party, len(players))
        return self.waiting()[self.ticket_of(players[0])]

    def alone(self, *players: str) -> list[WaitingTicket]:
        """Each of these players has a ticket of its own."""
        for player in players:
            assert self.arrive(player) == "queued"
        waiting = self.waiting()
        return [waiting[self.ticket_of(player)] for player in players]

    def ticket_of(self, player: str) -> str:
        return self.record(player).get("ticket", "")

    def waiting(self) -> dict[str, WaitingTicket]:
        """All tickets that can be proposed, by id, oldest first."""
        found: dict[str, WaitingTicket] = {}
        cursor = ""
        while True:
            page = self.do(self.tickets.snapshot(RANKED, cursor))
            found.update((ticket.ticket_id, ticket) for ticket in page.tickets)
            if not (cursor := page.cursor):
                return found

    def check(self) -> None:
        """Every structure agrees with every other."""
        assert list(contradictions(Look(self.contents()), SIZES | {RANKED: 0})) == []

    # --- the proposer ---

    def form(
        self, *groups: list[WaitingTicket], rules: str = RULES, remember: float = 0, **details: Any
    ) -> list[Outcome]:
        """`remember`: for how many seconds their players are known to have met."""
        proposals = [Proposal(tuple(tickets), details) for tickets in groups]
        timeout_us = LOADING_SECONDS * SECOND_US
        outcomes = self.do(
            self.tickets.form(
                RANKED, proposals, rules_version=rules, loading_timeout_us=timeout_us, remember_seconds=remember
            )
        )
        self.check()
        return outcomes

    def formed(self, *tickets: WaitingTicket, **details: Any) -> str:
        """These tickets have become a match. Returns the loading session's id."""
        (outcome,) = self.form(list(tickets), **details)
        assert isinstance(outcome, Formed), outcome
        return outcome.loading_session_id

    def head(self) -> int:
        return self.do(self.tickets.snapshot(RANKED)).head

    def feed(self, after: int) -> Feed:
        return self.do(self.tickets.feed(RANKED, after))


def changes(feed: Feed) -> list[tuple[str, ...]]:
    """What a feed says, in short."""
    return [_short(change) for change in feed.changes]


def _short(change: Change) -> tuple[str, ...]:
    match change:
        case Put(ticket):
            return ("put", ticket.ticket_id)
        case Gone(ticket_ids, held):
            return ("held" if held else "removed", *ticket_ids)
