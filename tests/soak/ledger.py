"""The players' own story, put together over all waves and held against the faults and the dedicated servers. No I/O."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from test_client.behaviours import NeverLoads
from test_client.player import LOST, VIOLATION
from tests.soak.faults import Struck
from tests.soak.invariants import Finding, Invariant
from tests.soak.waves import Match, Player, Wave

_LINKS_SECONDS = 1.0  # after a node is back: until the last broken link is noticed
_MAY_BE_LISTED = ("matched", "lost", "violation", "interrupted", "refused")  # as in test_client.checks


@dataclass(slots=True)
class Sightings:
    """Sessions seen on dedicated servers: who is in them, by session and the server's address."""

    seen: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def add(self, session_id: str, address: str, players: Iterable[str]) -> None:
        """A session was seen on the server with this address."""
        self.seen[session_id, address] = frozenset(players)

    def players(self, match: Match) -> frozenset[str] | None:
        """Who was in that match's session on the server that its players were sent to; None if it was not seen."""
        address = match.server_address.partition("/play/")[0]
        return self.seen.get((match.session_id, address))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The waves of a run, what was done meanwhile, and where sessions were seen."""

    waves: Sequence[Wave]
    struck: Sequence[Struck]
    sightings: Sightings
    grace_seconds: float

    def findings(self) -> Iterator[Finding]:
        """Everything that should not be."""
        for wave in self.waves:
            yield from _wave(wave)
            yield from self._places(wave)
            yield from self._links(wave)
        yield from self._matches()

    def excused_places(self) -> Counter[str]:
        """Places lost that the contract lets be lost, by why."""
        excused: Counter[str] = Counter()
        for wave in self.waves:
            for player in wave.players.values():
                if player.places_lost and (why := self._excuse(wave, player)):
                    excused[why] += player.places_lost
        return excused

    def sessions_seen(self) -> tuple[int, int]:
        """Of how many matches the session was seen on its server, and how many matches there were."""
        matches = {match.session_id: match for wave in self.waves for match in wave.matches}
        return sum(self.sightings.players(match) is not None for match in matches.values()), len(matches)

    def _places(self, wave: Wave) -> Iterator[Finding]:
        for player_id, player in wave.players.items():
            if player.places_lost and not self._excuse(wave, player):
                yield Finding(Invariant.PLACES, f"{player_id}: {player.behaviour}, {player.places_lost} times")

    def _excuse(self, wave: Wave, player: Player) -> str:
        if player.behaviour == NeverLoads.name:
            return "told `dequeued` (loading_timeout) while its link was down"
        if any(
            struck.silent_seconds > self.grace_seconds and struck.began <= wave.ended and struck.ended >= wave.began
            for struck in self.struck
        ):
            return "a node was silent for longer than the grace"
        return ""

    def _links(self, wave: Wave) -> Iterator[Finding]:
        for at in wave.broken_links:
            if not any(s.breaks_links and s.began <= at <= s.ended + _LINKS_SECONDS for s in self.struck):
                yield Finding(Invariant.LINKS, f"{wave.name}: a link lost {at - wave.began:.1f} s after its beginning")

    def _matches(self) -> Iterator[Finding]:
        """What only shows when all waves compare notes: a match may have players of several."""
        sessions_of_key: defaultdict[str, set[str]] = defaultdict(set)
        matches_of: defaultdict[str, set[str]] = defaultdict(set)
        told: dict[str, Match] = {}
        for wave in self.waves:
            for match in wave.matches:
                if len(set(match.players)) != wave.match_size:
                    yield Finding(Invariant.SIZE, f"{match.session_id}: {match.players}")
                if _essence(told.setdefault(match.session_id, match)) != _essence(match):
                    yield Finding(Invariant.TOLD, f"{match} and {told[match.session_id]}")
                sessions_of_key[match.loading_session_id].add(match.session_id)
                for player_id in match.players:
                    matches_of[player_id].add(match.session_id)
        yield from self._servers(told.values())
        yield from _twice(sessions_of_key)
        yield from self._listed(matches_of)

    def _servers(self, matches: Iterable[Match]) -> Iterator[Finding]:
        for match in matches:
            players = self.sightings.players(match)
            if players is not None and players != set(match.players):
                yield Finding(Invariant.TOLD, f"{match}, but its server has {sorted(players)}")

    def _listed(self, matches_of: Mapping[str, set[str]]) -> Iterator[Finding]:
        players = {player_id: player for wave in self.waves for player_id, player in wave.players.items()}
        for player_id, sessions in matches_of.items():
            player = players.get(player_id)
            if player is None or player.places_lost:
                continue
            if len(sessions) > 1:
                yield Finding(Invariant.DOUBLE, f"{player_id} in the matches {sorted(sessions)}")
            elif not player.fate.startswith(_MAY_BE_LISTED):
                yield Finding(Invariant.DEQUEUED, f"{player_id}: {player.fate}, and yet in the match {min(sessions)}")


def _wave(wave: Wave) -> Iterator[Finding]:
    for text in wave.violations:
        yield Finding(_invariant_of(text), text)
    for player_id, player in wave.players.items():
        if player.fate == LOST:
            yield Finding(Invariant.LOST, f"{player_id}: {player.behaviour}")
        elif not player.expected and player.fate != VIOLATION:
            yield Finding(Invariant.UNEXPECTED, f"{player_id}: {player.behaviour} ended {player.fate}")
    if wave.left_waiting >= wave.match_size:
        yield Finding(Invariant.WAITED, f"{wave.name}: {wave.left_waiting} players")


def _invariant_of(violation: str) -> Invariant:
    """Which row a violation, as test_client words it, belongs to."""
    if "two matches" in violation or "matches for one enqueue" in violation:
        return Invariant.DOUBLE
    if "another player of" in violation or "for the match" in violation:
        return Invariant.TOLD
    return Invariant.DEQUEUED if "and yet in the match" in violation else Invariant.PROTOCOL


def _essence(match: Match) -> tuple[str, str, frozenset[str]]:
    return match.loading_session_id, match.server_address, frozenset(match.players)


def _twice(sessions_of_key: Mapping[str, set[str]]) -> Iterator[Finding]:
    for key, sessions in sessions_of_key.items():
        if len(sessions) > 1:
            yield Finding(Invariant.SAME_KEY, f"{key}: {sorted(sessions)}")
