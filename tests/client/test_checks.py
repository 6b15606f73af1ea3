"""What only shows when players compare notes."""

from random import Random
from typing import Any

import pytest

from match_server.protocol import MatchFound, Queued, StartLoading
from test_client.behaviours import Normal
from test_client.checks import Violation, all_violations
from test_client.client import PlayerClient
from test_client.distributions import parse_distribution
from test_client.journey import Journey
from test_client.player import Patience, SimulatedPlayer

LOADING = "11111111-1111-4111-8111-111111111111"


def player(name: str, fate: str = "matched", **match: Any) -> SimulatedPlayer:
    """A player that came to `fate`, with a match if any of its fields is given."""
    journey = Journey(name, "Normal_1v1")
    rng = Random(1)  # noqa: S311 - chance, not secrets
    behaviour = Normal(journey, parse_distribution("0"), rng)
    made = SimulatedPlayer(PlayerClient(journey, ["ws://unused/"]), behaviour, patience=Patience(), rng=rng)
    made.fate = fate
    if match:
        fields = {
            "session_id": "s",
            "server_address": "udp://a:1",
            "loading_session_id": LOADING,
            "players": ("a", "b"),
            **match,
        }
        journey.sent(journey.opening())
        journey.receive(Queued(seq=1))
        journey.receive(StartLoading(seq=2, loading_session_id=fields["loading_session_id"], players=fields["players"]))
        journey.sent(journey.loading_complete())
        journey.receive(MatchFound(seq=3, **fields))
    return made


def test_the_same_news_for_all_is_right() -> None:
    assert all_violations([player("a", session_id="s"), player("b", session_id="s")]) == []


def test_players_of_others_may_be_in_the_match() -> None:
    assert all_violations([player("a", session_id="s")]) == []


@pytest.mark.parametrize("fate", ["lost", "interrupted", "join_failed:no_welcome", "refused:unreachable"])
def test_a_listed_player_may_not_have_heard_of_it(fate: str) -> None:
    assert all_violations([player("a", session_id="s"), player("b", fate)]) == []


@pytest.mark.parametrize("fate", ["dequeued:requested", "dequeued:loading_timeout", "left_waiting"])
def test_who_was_told_that_it_left_is_in_no_match(fate: str) -> None:
    assert all_violations([player("a", session_id="s"), player("b", fate)]) == [
        Violation("b", f"{fate}, and yet in the match s")
    ]


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"server_address": "udp://b:2"}, "was sent to udp://b:2"),
        ({"players": ("b", "c")}, "was told other players"),
        ({"loading_session_id": LOADING.replace("1", "2")}, "loaded another session"),
    ],
)
def test_all_players_of_a_match_are_told_the_same(other: dict[str, Any], text: str) -> None:
    violations = all_violations([player("a", session_id="s"), player("b", **other)])
    assert any(violation.player_id == "b" and text in violation.text for violation in violations), violations


def test_nobody_is_in_two_matches() -> None:
    violations = all_violations(
        [
            player("a", session_id="s"),
            player("b", session_id="s"),
            player("c", session_id="t", players=("c", "a")),
        ]
    )
    assert violations == [Violation("a", "in 2 matches for one enqueue: s, t")]


def test_what_a_player_saw_itself_comes_first() -> None:
    seen = player("a", session_id="s")
    seen.journey.receive_undecodable("rubbish")
    assert all_violations([seen])[0].player_id == "a"
