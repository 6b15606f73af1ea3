"""What must hold, looked at from outside: one atomic look into Redis, the servers' logs, and what players were told."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from test_client.states import State
from tests.shared.crowd import MODE, Crowd, Player
from tests.shared.game_server import GameServer, Made
from tests.shared.invariants import contradictions
from tests.shared.look import LOOK, Contents, Look, read_contents
from tests.shared.redis_server import Store

DUEL: Mapping[str, int] = {MODE: 2}
# What a record may say of a player who was told this last, when nothing is on its way.
_RECORD: dict[State, set[str | None]] = {
    State.QUEUED: {"queued"},
    State.LOADING: {"loading", "allocating"},
    State.CANCELLED: {"queued"},
    State.MATCHED: {"matched"},
    State.LEFT: {None},
    State.REFUSED: {None},
}


def look(redis: Store, prefix: str) -> Contents:
    """Every key of the pool with what it holds, in one atomic EVAL."""
    return read_contents(redis.do("EVAL", LOOK, 0, prefix)[0])


def nobody_is_in_two_places(redis: Store, prefix: str, sizes: Mapping[str, int] = DUEL) -> Contents:
    """Holds at every instant: each record is in exactly one of queue, loading, allocating and matched, or held.

    `sizes` are the players of a match in each game mode, 0 where rules decide.
    """
    contents = look(redis, prefix)
    assert list(contradictions(Look(contents), sizes)) == []
    return contents


def nobody_is_lost(redis: Store, prefix: str, crowd: Crowd) -> None:
    """Holds at rest: every player is where it was told that it is."""
    contents = nobody_is_in_two_places(redis, prefix)
    for player in crowd.players:
        record = contents.get(f"player:{player.player_id}")
        state = record["state"] if record else None
        assert state in _RECORD[player.state], f"{player.player_id} was told {player.state}, its record says {state}"
    assert list(crowd.violations()) == []


def everybody_matched_once(redis: Store, prefix: str, players: Sequence[Player], servers: Iterable[GameServer]) -> None:
    """Everybody has one match; its players were told the same, and its server made that session for just them."""
    nobody_is_in_two_places(redis, prefix)
    assert [text for player in players for text in player.journey.violations] == []
    told: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for player in players:
        match = player.journey.match
        assert match, f"{player.player_id} has no match"
        assert player.journey.places_lost == 0, f"{player.player_id} lost its place"
        assert player.player_id in match.players
        told[match.session_id, match.server_address].add(player.player_id)
    logged: dict[tuple[str, str], Made] = {}
    for server in servers:
        for made in server.made.values():
            if made.session_id not in server.ended:
                logged[made.session_id, server.address] = made
    assert {session: set(made.players) for session, made in logged.items()} == told, "one session per match"
