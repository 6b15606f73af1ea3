"""What the players' story shows: each fault of the service is one finding, and what the contract allows is none."""

from dataclasses import replace

import pytest

from tests.soak.faults import Struck
from tests.soak.invariants import Invariant
from tests.soak.ledger import Ledger, Sightings
from tests.soak.waves import Match, Player, Wave

DUEL = Match(
    session_id="s1", loading_session_id="s1", server_address="ws://127.0.0.1:1/play/s1", players=("ann", "bob")
)
MATCHED = Player(behaviour="normal", fate="matched")
WAVE = Wave(
    name="w",
    game_mode="Normal_1v1",
    match_size=2,
    began=100.0,
    ended=110.0,
    players={"ann": MATCHED, "bob": MATCHED},
    matches=(DUEL,),
    errors={},
)
KILLED = Struck("kill-node", "kill -9 of node-0", 103.0, 105.0, breaks_links=True)


def sightings(players: tuple[str, ...] = DUEL.players) -> Sightings:
    seen = Sightings()
    seen.add("s1", "ws://127.0.0.1:1", players)
    return seen


def found(*waves: Wave, struck: tuple[Struck, ...] = (), seen: Sightings | None = None) -> list[Invariant]:
    ledger = Ledger(waves=waves, struck=struck, sightings=seen or sightings(), grace_seconds=4.0)
    return [finding.invariant for finding in ledger.findings()]


def with_player(player_id: str, player: Player) -> Wave:
    return replace(WAVE, players={**WAVE.players, player_id: player})


def test_a_good_run_has_no_findings() -> None:
    assert found(WAVE) == []


def test_a_match_may_have_players_of_two_waves() -> None:
    one, other = (replace(WAVE, name=name, players={name: MATCHED}) for name in ("ann", "bob"))
    assert found(one, other) == []


@pytest.mark.parametrize(
    ("player", "invariant"),
    [
        (Player(behaviour="normal", fate="lost"), Invariant.LOST),
        (Player(behaviour="normal", fate="dequeued:loading_timeout"), Invariant.UNEXPECTED),
        (Player(behaviour="quits-in-queue", fate="matched"), Invariant.UNEXPECTED),
        (Player(behaviour="normal", fate="refused:unreachable"), Invariant.UNEXPECTED),
        (Player(behaviour="normal", fate="matched", places_lost=1), Invariant.PLACES),
    ],
)
def test_an_end_that_should_not_be(player: Player, invariant: Invariant) -> None:
    assert found(with_player("cid", player)) == [invariant]


@pytest.mark.parametrize(
    ("text", "invariant"),
    [
        ("ann: two matches for one enqueue: s1 and s2", Invariant.DOUBLE),
        ("ann: was told other players for the match s1", Invariant.TOLD),
        ("ann: dequeued:requested, and yet in the match s1", Invariant.DEQUEUED),
        ("ann: match_found twice on one connection", Invariant.PROTOCOL),
    ],
)
def test_what_a_player_saw_belongs_to_its_invariant(text: str, invariant: Invariant) -> None:
    assert found(replace(WAVE, violations=(text,))) == [invariant]


def test_too_many_left_waiting() -> None:
    waiting = Player(behaviour="normal", fate="left_waiting")
    one = with_player("cid", waiting)
    two = replace(one, players={**one.players, "dan": waiting})
    assert found(one) == []
    assert found(two) == [Invariant.WAITED]


def test_a_player_in_the_matches_of_two_waves() -> None:
    other = replace(DUEL, session_id="s2", loading_session_id="s2", players=("ann", "cid"))
    assert found(WAVE, replace(WAVE, name="v", players={"cid": MATCHED}, matches=(other,))) == [Invariant.DOUBLE]


def test_a_player_who_was_told_that_it_left_is_in_another_waves_match() -> None:
    gone = Player(behaviour="quits-in-queue", fate="dequeued:requested")
    assert found(replace(WAVE, players={"ann": MATCHED, "bob": gone})) == [Invariant.DEQUEUED]


def test_players_who_were_told_different_things() -> None:
    other = replace(DUEL, server_address="ws://127.0.0.1:2/play/s1")
    assert found(WAVE, replace(WAVE, name="v", matches=(other,))) == [Invariant.TOLD]


def test_a_server_that_has_other_players() -> None:
    assert found(WAVE, seen=sightings(("ann", "cid"))) == [Invariant.TOLD]


def test_a_session_that_was_not_seen_is_no_finding_but_is_not_counted_as_seen() -> None:
    ledger = Ledger(waves=[WAVE], struck=(), sightings=Sightings(), grace_seconds=4.0)
    assert list(ledger.findings()) == []
    assert ledger.sessions_seen() == (0, 1)


def test_a_match_of_three_in_a_mode_for_two() -> None:
    three = replace(DUEL, players=("ann", "bob", "cid"))
    assert found(replace(WAVE, matches=(three,)), seen=Sightings()) == [Invariant.SIZE]


def test_one_key_with_two_sessions() -> None:
    again = replace(DUEL, session_id="s2", players=("cid", "dan"))
    assert found(replace(WAVE, matches=(DUEL, again))) == [Invariant.SAME_KEY]


@pytest.mark.parametrize(("at", "explained"), [(102.9, False), (103.1, True), (105.9, True), (106.1, False)])
def test_links_break_only_while_a_node_is_killed_or_stopped(at: float, explained: bool) -> None:
    broken = replace(WAVE, broken_links=(at,))
    assert found(broken, struck=(KILLED,)) == ([] if explained else [Invariant.LINKS])
    assert found(broken, struck=(replace(KILLED, breaks_links=False),)) == [Invariant.LINKS]


@pytest.mark.parametrize(("silent_seconds", "began", "excused"), [(4.1, 99.0, 1), (3.9, 99.0, 0), (9.0, 111.0, 0)])
def test_a_place_may_be_lost_to_a_silence_longer_than_the_grace(
    silent_seconds: float, began: float, excused: int
) -> None:
    pause = Struck("pause-node", "SIGSTOP", began, began + silent_seconds, silent_seconds=silent_seconds)
    wave = with_player("cid", Player(behaviour="normal", fate="matched", places_lost=1))
    ledger = Ledger(waves=[wave], struck=[pause], sightings=sightings(), grace_seconds=4.0)
    assert ledger.excused_places().total() == excused
    assert [finding.invariant for finding in ledger.findings()] == [Invariant.PLACES] * (1 - excused)


def test_who_never_loads_may_find_its_place_gone() -> None:
    wave = with_player("cid", Player(behaviour="never-loads", fate="dequeued:loading_timeout", places_lost=1))
    ledger = Ledger(waves=[wave], struck=(), sightings=sightings(), grace_seconds=4.0)
    assert list(ledger.findings()) == []
    assert ledger.excused_places().total() == 1
