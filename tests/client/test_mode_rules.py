"""The test client's own check of matches: what breaks a mode's rules is named, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest

from match_server.protocol import MatchFound
from test_client.mode_rules import Member, ModeRules

FILE = """
[attributes]
rating = { type = "number", default = 1500 }
build = { type = "text", default = "1" }
maps = { type = "list", default = ["ice"] }
latency = { type = "latencies" }
foes = { type = "list", default = [] }
roles = { type = "list", default = [] }

[game_modes]
duel = 2

[game_modes.squads]
teams = { blue = 2, red = 2 }
party_max = 4
roles = { blue = { tank = 1, healer = 1 }, red = { tank = 1, healer = 1 } }
rules = [
  { kind = "difference", attribute = "rating", max = 50, widen = [{ after_seconds = 10, max = 400 }] },
  { kind = "team_difference", attribute = "rating", max = 20, widen_per_second = 10, up_to = 100 },
  { kind = "same", attribute = "build", optional_after_seconds = 60 },
  { kind = "common", attribute = "maps" },
  { kind = "latency", attribute = "latency", max = 60 },
  { kind = "party_balance", max = 0 },
  { kind = "apart", attribute = "foes" },
]
"""
NEAR = {"latency": {"eu": 30.0}}


@pytest.fixture
def squads(tmp_path: Path) -> ModeRules:
    (tmp_path / "modes.toml").write_text(FILE)
    return ModeRules.read(tmp_path / "modes.toml", "squads")


def member(name: str, *, waited: float = 0.0, party: str | None = None, size: int = 1, **attributes: Any) -> Member:
    return Member(name, NEAR | attributes, party, size, waited)


def found(**changed: Any) -> MatchFound:
    usual: dict[str, Any] = {
        "players": ("a", "b", "c", "d"),
        "teams": {"blue": ("a", "b"), "red": ("c", "d")},
        "roles": {"a": "tank", "b": "healer", "c": "tank", "d": "healer"},
        "region": "eu",
        "properties": {"build": "1", "maps": "ice"},
    }
    return MatchFound(session_id="s", server_address="x:1", **(usual | changed))


def four(**of_a: Any) -> list[Member]:
    return [member("a", **of_a), *(member(name) for name in "bcd")]


def test_a_match_by_the_rules_is_right(squads: ModeRules) -> None:
    assert list(squads.violations(found(), four())) == []
    quality = squads.quality(found(), four(rating=1540))
    assert (quality.difference, quality.team_difference, quality.region) == (40, 20, "eu")


@pytest.mark.parametrize(
    ("match", "members", "words"),
    [
        (found(), four(rating=1560), "difference rating: 60 of at most 50"),
        (found(), four(rating=1500, latency={"us": 5.0}), "latency latency: inf"),
        (found(region="us"), four(), "latency latency: inf"),
        (found(), four(build="2"), "same build"),
        (found(), four(maps=["fire"]), "common maps"),
        (found(), four(foes=["c"]), "apart foes: a with ['c']"),
        (found(teams={"blue": ("a", "b", "c"), "red": ("d",)}), four(), "teams of {'blue': 3, 'red': 1}"),
        (found(roles={"a": "tank", "b": "tank", "c": "tank", "d": "healer"}), four(), "the team blue has the roles"),
        (found(), four(roles=["healer"]), "a has the role tank, and plays ['healer']"),
        (found(), four(party="p", size=2), "1 of the 2 members of the party p"),
        (found(players=("a", "b", "c")), four()[:3], "3 players in a match"),
    ],
)
def test_what_breaks_a_rule_is_named(squads: ModeRules, match: MatchFound, members: list[Member], words: str) -> None:
    broken = list(squads.violations(match, members))
    assert any(words in line for line in broken), broken


def test_a_party_is_not_split_and_balanced(squads: ModeRules) -> None:
    pair = [member(name, party="p", size=2) for name in "ac"]
    broken = list(squads.violations(found(), [*pair, member("b"), member("d")]))
    assert "the party p is split over teams" in broken
    together = [member(name, party="p", size=2) for name in "ab"]
    assert list(squads.violations(found(), [*together, member("c"), member("d")])) == ["party_balance : 1 of at most 0"]


def test_windows_widen_by_the_age_of_each_ticket(squads: ModeRules) -> None:
    young = [member("a", rating=1600), *(member(name, waited=30.0) for name in "bcd")]
    assert any("difference rating: 100 of at most 50" in line for line in squads.violations(found(), young))
    old = [member("a", rating=1600, waited=30.0), *young[1:]]
    assert list(squads.violations(found(), old)) == []


def test_a_private_match_is_refused_by_no_rule(squads: ModeRules) -> None:
    party = [member(name, party="p", size=4, rating=1000.0 * n) for n, name in enumerate("abcd")]
    assert list(squads.violations(found(), party)) == []


def test_a_short_mode_has_a_number_of_players_alone(tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(FILE)
    duel = ModeRules.read(tmp_path / "modes.toml", "duel")
    plain = MatchFound(session_id="s", server_address="x:1", players=("a", "b"))
    assert list(duel.violations(plain, [member("a"), member("b")])) == []
    with pytest.raises(ValueError, match="there is no game mode trio"):
        ModeRules.read(tmp_path / "modes.toml", "trio")
