"""The proposer's picture of who waits: kept from snapshots and the feed, and told to the matching."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from match_server.matching import tickets as matching
from match_server.matching.explain import Explanation, explain
from match_server.matching.modes import GameMode
from match_server.matching.propose import Proposer
from match_server.store.tickets import Change, Proposal, Put, WaitingTicket

Met: TypeAlias = Mapping[str, tuple[matching.Meeting, ...]]  # by player


class Waiting:
    """The waiting tickets of one mode, as Redis last told of them."""

    def __init__(self, mode: GameMode) -> None:
        self._mode = mode
        self._tickets: dict[str, WaitingTicket] = {}
        self._ticket_of: dict[str, str] = {}  # by player
        self._met: dict[str, tuple[matching.Meeting, ...]] = {}  # by waiting player
        self.proposer = Proposer(mode)

    def __len__(self) -> int:
        """How many tickets wait."""
        return len(self._tickets)

    def put(self, ticket: WaitingTicket, met: Met) -> None:
        """A ticket can be proposed, in this version; `met` has those whom its players have met."""
        self._met.update((player, met[player]) for player in ticket.players if met.get(player))
        self._tickets[ticket.ticket_id] = ticket
        self._ticket_of.update(dict.fromkeys(ticket.players, ticket.ticket_id))
        self.proposer.add(self._for_matching(ticket))

    def apply(self, change: Change, met: Met) -> None:
        """Take in a change of the feed; `met` as in `put`."""
        if isinstance(change, Put):
            self.put(change.ticket, met)
            return
        for ticket_id in change.ticket_ids:
            self._forget(ticket_id)
            self.proposer.remove(ticket_id)

    def wish(self, found: matching.Proposal) -> Proposal | None:
        """What to ask of Redis for a proposal of the matching; None if a ticket of it has gone meanwhile."""
        tickets = [self._tickets.get(ticket.ticket_id) for ticket in found.tickets]
        if any(
            ticket is None or ticket.version != of.version for ticket, of in zip(tickets, found.tickets, strict=True)
        ):
            self.put_back(found)
            return None
        return Proposal(
            tuple(ticket for ticket in tickets if ticket), _details(found), found.region or "", _differences(found)
        )

    def put_back(self, found: matching.Proposal, *, but: str = "") -> None:
        """A proposal was not formed: its tickets wait on, but the one that was in its way."""
        for ticket in found.tickets:
            known = self._tickets.get(ticket.ticket_id)
            if known is not None and ticket.ticket_id != but:
                self.proposer.add(self._for_matching(known))

    def formed(self, found: matching.Proposal) -> None:
        """A proposal has become a match: its tickets wait no longer."""
        for ticket in found.tickets:
            self._forget(ticket.ticket_id)

    def explain(self, player_id: str, now: float) -> Explanation | None:
        """Why this player's ticket waits; None if it does not."""
        ticket_id = self._ticket_of.get(player_id)
        return None if ticket_id is None else explain(self.proposer, ticket_id, now)

    def _forget(self, ticket_id: str) -> None:
        ticket = self._tickets.pop(ticket_id, None)
        for player in ticket.players if ticket else ():
            if self._ticket_of.get(player) == ticket_id:
                del self._ticket_of[player]
                self._met.pop(player, None)

    def _for_matching(self, ticket: WaitingTicket) -> matching.Ticket:
        members = tuple(
            matching.Member(player, dict(ticket.attributes.get(player, {})), self._met.get(player, ()))
            for player in ticket.players
        )
        return matching.Ticket(ticket.ticket_id, members, ticket.enqueued_at_us / 1_000_000, ticket.version)


def _details(found: matching.Proposal) -> Mapping[str, Any]:
    """The further fields of the frames and of the create call; those that the mode does not have are left out."""
    details = {
        "teams": found.teams,
        "roles": found.roles,
        "region": found.region,
        "properties": found.properties,
    }
    return {name: value for name, value in details.items() if value}


def _differences(found: matching.Proposal) -> Mapping[str, float]:
    """How far the match's players and teams are apart."""
    return {"difference": found.difference, "team_difference": found.team_difference}
