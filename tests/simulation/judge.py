"""What must hold while a seed runs, whatever goes wrong. Numbers are docs/reliability.md's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from match_server.matching.modes import GameMode
from tests.shared.event_journal import EventJournal
from tests.shared.invariants import contradictions
from tests.shared.look import Look, read_contents
from tests.simulation.node import SimulatedNode
from tests.simulation.servers import SimulatedServer
from tests.simulation.settings import GRACE_SECONDS
from tests.simulation.stories import Stories
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather


class Violated(Exception):
    """Something must not have happened: the run ends there."""


class Judge:
    """Keeps what was violated: by the pool, by what players were told, or by the service itself.

    Args:
        modes: the game modes.
        weather: what goes wrong in this run, before any of it is over.
        nodes: all nodes; those to come as well.
        servers: the dedicated servers, likewise.
        trace: where the first violation is noted.
    """

    def __init__(
        self,
        modes: Sequence[GameMode],
        weather: Weather,
        *,
        nodes: Sequence[SimulatedNode],
        servers: Mapping[str, SimulatedServer],
        trace: Trace,
    ) -> None:
        self.violations: list[str] = []
        self._sizes = {mode.name: mode.players for mode in modes}
        self.stories = Stories(self._sizes, self.violated)
        self._weather = replace(weather)
        self._nodes = nodes
        self._servers = servers
        self._trace = trace
        self._last_look = b""
        self._journal = EventJournal()
        self._leased: frozenset[str] = frozenset()  # nodes that have had a lease
        self._lease_lost = False  # one of them was thought dead while it lived

    def violated(self, text: str) -> None:
        """Something does not hold; the run ends soon after."""
        if not self.violations:
            self._trace.note("VIOLATION", text)
        self.violations.append(text)

    def stop_if_violated(self) -> None:
        """Raise Violated if something was."""
        if self.violations:
            raise Violated

    def on_emptied(self) -> None:
        """Redis has lost its data."""
        self.stories.forget()
        self._journal.forget()

    def look_at(self, text: bytes, events: Sequence[tuple[str, str]]) -> None:
        """The pool has changed; this is what look.lua says of it, and the new entries of its stream of events."""
        for violation in self._journal.hear(events):
            self.violated(violation)
        if text == self._last_look:
            return
        self._last_look = text
        look = Look(read_contents(text))
        for violation in self._journal.contradictions(look):
            self.violated(violation)
        self._leased |= look.leases
        self._lease_lost |= any(node.alive and node.name in self._leased - look.leases for node in self._nodes)
        for violation in (*contradictions(look, self._sizes), *self.stories.contradictions(look)):
            self.violated(violation)

    def on_told_to_end(self, server_id: str, session_id: str) -> None:
        """3 and 8: a match that players were told of is nobody's to end, while Redis remembers it."""
        matches = {(match.server_address, match.session_id) for match in self.stories.matches.values()}
        if (self._servers[server_id].address, session_id) in matches and not self._weather.emptyings:
            self.violated(f"{server_id} is told to end the session of a match: {session_id}")

    def on_place_lost(self, player_id: str, away_seconds: float) -> None:
        """Whoever comes back within the grace time finds its place."""
        weather = self._weather
        # Its grace may have begun before it left: its node could not renew its lease for too long, however that came.
        lease_lost = self._lease_lost or weather.late or weather.partitions or weather.pauses or weather.restarts
        kept = away_seconds < GRACE_SECONDS and not weather.emptyings and not lease_lost
        if kept and self.stories.last_reason(player_id) == "disconnected":
            self.violated(f"{player_id}: was away for {away_seconds:.3f} s, and its place is gone")

    def on_overtaken(self, player_id: str) -> None:
        """Of a player's connections it stays with the one that claimed it last, however late the others' claims run."""
        if not self._weather.emptyings:  # an emptied Redis does not know who claimed what before
            self.violated(f"{player_id}: its newest connection is closed with 4000, though none claimed it later")
