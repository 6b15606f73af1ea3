"""What only shows across players: they must all have been told the same about each match."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from match_server.protocol import MatchFound
from test_client.mode_rules import Member, ModeRules
from test_client.player import INTERRUPTED, LOST, MATCHED, VIOLATION, SimulatedPlayer

# A listed player with one of these ends has not been told otherwise; the others have left, or play elsewhere.
_MAY_BE_LISTED = (MATCHED, LOST, VIOLATION, INTERRUPTED, "join_failed", "refused")


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which the service broke the protocol, and the player who saw it."""

    player_id: str
    text: str


def all_violations(players: Iterable[SimulatedPlayer], rules: ModeRules | None = None) -> list[Violation]:
    """What each player saw, then what shows when they compare notes, and what breaks the mode's rules."""
    by_id = {player.journey.player_id: player for player in players}
    seen = [Violation(player_id, text) for player_id, player in by_id.items() for text in player.journey.violations]
    broken: list[Violation] = []
    if rules is not None:
        for found, members in complete_matches(by_id):
            texts = rules.violations(found, members)
            broken += [Violation(found.players[0], f"{found.session_id}: {text}") for text in texts]
    return [*seen, *_across(by_id), *broken]


def complete_matches(by_id: Mapping[str, SimulatedPlayer]) -> Iterator[tuple[MatchFound, list[Member]]]:
    """Each match whose players are all of this run and were told of it."""
    for members in sessions_told(by_id.values()).values():
        found = _told(members[0])
        if {member.journey.player_id for member in members} == set(found.players):
            yield found, [_as_member(member) for member in members]


def _as_member(player: SimulatedPlayer) -> Member:
    journey = player.journey
    waits_since = journey.times.queued or 0.0
    brings = journey.brings
    waited = max(0.0, journey.formed_at - waits_since)
    return Member(journey.player_id, brings.attributes, brings.party_id, brings.party_size, waited)


def sessions_told(players: Iterable[SimulatedPlayer]) -> dict[str, list[SimulatedPlayer]]:
    """The distinct sessions, each with the players who were sent to it."""
    sessions: defaultdict[str, list[SimulatedPlayer]] = defaultdict(list)
    for player in players:
        if player.journey.match is not None:
            sessions[player.journey.match.session_id].append(player)
    return dict(sessions)


def _across(by_id: Mapping[str, SimulatedPlayer]) -> Iterable[Violation]:
    listed_in: defaultdict[str, set[str]] = defaultdict(set)
    for session_id, members in sessions_told(by_id.values()).items():
        first = _told(members[0])
        for member in members[1:]:
            yield from _differences(first, member)
        for player_id in first.players:
            listed_in[player_id].add(session_id)
    for player_id, sessions in listed_in.items():
        player = by_id.get(player_id)
        if player is None:
            continue  # not one of ours
        if len(sessions) > 1 and not player.journey.places_lost:
            yield Violation(player_id, f"in {len(sessions)} matches for one enqueue: {', '.join(sorted(sessions))}")
        elif not (player.fate or "").startswith(_MAY_BE_LISTED):
            yield Violation(player_id, f"{player.fate}, and yet in the match {min(sessions)}")


def _differences(first: MatchFound, member: SimulatedPlayer) -> Iterable[Violation]:
    other = _told(member)
    if other.server_address != first.server_address:
        text = f"was sent to {other.server_address}, another player of {first.session_id} to {first.server_address}"
        yield Violation(member.journey.player_id, text)
    if other.loading_session_id != first.loading_session_id:
        yield Violation(member.journey.player_id, f"loaded another session for the match {first.session_id}")
    if set(other.players) != set(first.players):
        yield Violation(member.journey.player_id, f"was told other players for the match {first.session_id}")


def _told(player: SimulatedPlayer) -> MatchFound:
    match = player.journey.match
    if match is None:
        raise RuntimeError(f"{player.journey.player_id} has no match")
    return match
