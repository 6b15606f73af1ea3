"""One simulation: arrivals, the proposer, and a clock that jumps from one event to the next."""

from collections.abc import Iterable
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

from match_server.matching.modes import GameMode
from match_server.matching.propose import Proposer
from match_server.simulate.arrivals import Arrival
from match_server.simulate.outcome import Match, Outcome

if TYPE_CHECKING:
    from match_server.matching.tickets import Ticket


def simulate(mode: GameMode, arrivals: Iterable[Arrival], *, minutes: float | None = None) -> Outcome:
    """Let players arrive and be matched, until the last has come or `minutes` are over.

    Every match finds a server at once, and nobody leaves but those who give up. The proposer looks at each arrival, and
    when a waiting ticket's age changes what it accepts.
    """
    simulation = _Simulation(mode)
    until = inf if minutes is None else minutes * 60
    for arrival in arrivals:
        if arrival.ticket.enqueued_at > until:
            break
        simulation.pass_time(arrival.ticket.enqueued_at)
        simulation.arrive(arrival)
    if minutes is not None:
        simulation.pass_time(until)
        simulation.outcome.end = until
    simulation.outcome.unmatched = list(simulation.waiting.values())
    return simulation.outcome


class _Simulation:
    def __init__(self, mode: GameMode) -> None:
        self.outcome = Outcome(mode)
        self.waiting: dict[str, Ticket] = {}
        self._proposer = Proposer(mode)
        self._leaving: list[tuple[float, str]] = []

    def arrive(self, arrival: Arrival) -> None:
        ticket = arrival.ticket
        self.outcome.end = ticket.enqueued_at
        self.waiting[ticket.ticket_id] = ticket
        if arrival.cancel_at < inf:
            heappush(self._leaving, (arrival.cancel_at, ticket.ticket_id))
        self._proposer.add(ticket)
        self._look(ticket.enqueued_at)

    def pass_time(self, until: float) -> None:
        while (at := min(self._proposer.next_look, self._leaving[0][0] if self._leaving else inf)) < until:
            while self._leaving and self._leaving[0][0] <= at:
                self._give_up(*heappop(self._leaving))
            self._look(at)

    def _give_up(self, at: float, ticket_id: str) -> None:
        ticket = self.waiting.pop(ticket_id, None)
        if ticket is not None:
            self._proposer.remove(ticket_id)
            self.outcome.gave_up.append((ticket, at - ticket.enqueued_at))

    def _look(self, now: float) -> None:
        for proposal in self._proposer.tick(now):
            if proposal is not None:
                self.outcome.matches.append(Match(now, proposal))
                for ticket in proposal.tickets:
                    del self.waiting[ticket.ticket_id]
