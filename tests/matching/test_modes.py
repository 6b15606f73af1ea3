"""Game modes: what the file says, and that each mistake is answered with its path and what is expected."""

import functools
from pathlib import Path
from typing import Any

import pytest

from match_server.matching.modes import GameMode
from match_server.matching.modes_file import read_modes_file
from match_server.matching.rules import Difference
from match_server.matching.tables import ModesError, parse_modes
from tests.matching.modes_page import TEXT, tables

REMOVED = object()


def modes(changed: dict[str, Any]) -> dict[str, GameMode]:
    return {mode.name: mode for mode in parse_modes(changed["game_modes"], changed["attributes"])}


def changed(path: str, value: object) -> dict[str, Any]:
    """The page's tables with one entry changed; `path` has dots, and numbers for places in lists."""
    whole: Any = tables()
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    table = functools.reduce(lambda inner, part: inner[part], way, whole)
    if value is REMOVED:
        del table[last]
    else:
        table[last] = value
    return dict(whole)


def test_the_page_is_read() -> None:
    found = modes(tables())
    assert {name: mode.players for name, mode in found.items()} == {
        "Normal_1v1": 2,
        "ranked_duel": 2,
        "ranked_5v5": 10,
        "raid": 5,
        "royale": 60,
    }
    assert [mode.name for mode in found.values() if not mode.by_rules] == ["Normal_1v1"]
    assert (found["royale"].least_players, found["royale"].fill_seconds) == (20, 30)
    assert found["ranked_5v5"].needed == {"rating", "latency", "build", "maps"}
    assert found["raid"].needed == {"roles"}


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(TEXT)
    read = read_modes_file(tmp_path / "modes.toml")
    assert read.revision == 3
    assert read.game_modes == tuple(modes(tables()).values())


@pytest.mark.parametrize("text", ["x = ", "", "[game_modes]\n", "revision = -1\n[game_modes]\na = 2"])
def test_a_file_without_modes_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "modes.toml").write_text(text)
    with pytest.raises(ModesError):
        read_modes_file(tmp_path / "modes.toml")


def test_the_short_form_takes_a_table_with_timeouts_too() -> None:
    mode = modes(changed("game_modes.Normal_1v1", {"players": 2, "loading_timeout_seconds": 20}))["Normal_1v1"]
    assert mode.timeouts.loading_timeout_seconds == 20
    assert not mode.by_rules


def test_an_empty_list_of_rules_still_means_by_rules() -> None:
    assert modes(changed("game_modes.Normal_1v1", {"players": 2, "rules": []}))["Normal_1v1"].by_rules


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("ranked_duel.rules.0.max", "fifty", 'ranked_duel.rules[0].max: expected a number, not "fifty"'),
        ("ranked_duel.rules.0.max", -1, "ranked_duel.rules[0].max: expected a number of at least 0, not -1"),
        ("ranked_duel.rules.0.max", float("nan"), "ranked_duel.rules[0].max: expected a number, not NaN"),
        ("ranked_duel.rules.0.max", REMOVED, "ranked_duel.rules[0].max: expected a value here, and there is none"),
        ("ranked_duel.rules.0.kind", "distance", "ranked_duel.rules[0].kind: expected one of the kinds 'difference',"),
        ("ranked_duel.rules.0.kind", REMOVED, "ranked_duel.rules[0]: expected a `kind` that says which rule this is"),
        ("ranked_duel.rules.0.atribute", "a", "ranked_duel.rules[0].atribute: no such entry; did you mean attribute?"),
        (
            "ranked_duel.rules.0.attribute",
            "maps",
            "ranked_duel.rules[0].attribute: expected an attribute of type number, and maps is of type list",
        ),
        (
            "ranked_duel.rules.0.attribute",
            "elo",
            "ranked_duel.rules[0].attribute: expected an attribute of type number, and elo does not stand",
        ),
        ("ranked_duel.rules.0.widen.1.max", 20, "ranked_duel.rules[0]: expected steps of `widen` that each come later"),
        ("ranked_duel.rules.0.widen_per_second", 2, "ranked_duel.rules[0]: expected either `widen` or `widen_per_s"),
        ("ranked_5v5.rules.0.up_to", 100, "ranked_5v5.rules[0]: expected `up_to` of at least `max`, which is 200"),
        ("ranked_duel.players", 1, "ranked_duel.players: expected 2 to 100 players, not 1"),
        ("Normal_1v1", 101, "Normal_1v1: expected 2 to 100 players, not 101"),
        ("Normal_1v1", True, "Normal_1v1: expected 2 to 100 players, not true"),
        ("raid.roles.party.tank", 2, "raid: expected roles of party that add up to the 5 players of that team"),
        ("royale.players.min", 61, "royale.players: expected `min` of at most `max`, which is 60"),
        ("royale.teams", {"a": 5}, "royale: expected either `players` or `teams`"),
        ("royale.players", REMOVED, "royale: expected either `players` or `teams`"),
        ("royale.loading_timeout_seconds", "x", 'royale.loading_timeout_seconds: expected a number, not "x"'),
        ("royale.second_is_worth", {"rating": 3}, "royale.second_is_worth: expected an attribute of a rule difference"),
        ("royale.party_max", 61, "royale: expected `party_max` of at most the match's 60 players"),
        (
            "royale.rules",
            [{"kind": "party_balance", "max": 1}],
            "royale.rules[0].kind: expected a mode of two or more teams for party_balance",
        ),
        ("ranked_5v5.party_max", 2.5, "ranked_5v5.party_max: expected a whole number, not 2.5"),
        ("ranked_5v5.rules", {}, "ranked_5v5.rules: expected a list, not {}"),
    ],
)
def test_a_wrong_mode_is_answered_with_its_path_and_what_is_expected(path: str, value: object, line: str) -> None:
    with pytest.raises(ModesError) as caught:
        modes(changed(f"game_modes.{path}", value))
    assert len(caught.value.lines) == 1
    assert caught.value.lines[0].startswith(f"game_modes.{line}")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("rating", 3, "rating: expected a table, not 3"),
        ("rating.type", "int", "rating.type: expected 'number', 'text', 'list' or 'latencies', not \"int\""),
        ("rating.default", "x", 'rating: expected a `default` that is a number from 0 to 5000, not "x"'),
        ("rating.default", 5001, "rating: expected a `default` that is a number from 0 to 5000, not 5001"),
        ("rating.min", 6000, "rating: expected `max` of at least `min`, which is 6000"),
        ("input.min", 1, "input: expected `min` and `max` only for a number"),
        ("build.from", "player", "build.from: expected 'token', not \"player\""),
    ],
)
def test_a_wrong_attribute_is_answered_likewise(path: str, value: object, line: str) -> None:
    with pytest.raises(ModesError) as caught:
        modes(changed(f"attributes.{path}", value))
    assert caught.value.lines == [f"attributes.{line}"]


def test_each_mistake_has_its_line() -> None:
    whole = changed("game_modes.ranked_duel.players", 1)
    whole["game_modes"]["royale"]["party_max"] = "many"
    with pytest.raises(ModesError) as caught:
        modes(whole)
    assert len(caught.value.lines) == 2


def test_rules_version_changes_with_the_rules_and_with_nothing_else() -> None:
    before = modes(tables())
    assert modes(tables())["ranked_duel"].rules_version == before["ranked_duel"].rules_version
    wider = modes(changed("game_modes.ranked_duel.rules.0.max", 51))
    assert wider["ranked_duel"].rules_version != before["ranked_duel"].rules_version
    assert wider["royale"].rules_version == before["royale"].rules_version
    unread = modes(changed("attributes.loadout.default", "sword"))
    assert unread["ranked_duel"].rules_version == before["ranked_duel"].rules_version
    default = modes(changed("attributes.rating.default", 1000))
    assert default["ranked_duel"].rules_version != before["ranked_duel"].rules_version


@pytest.mark.parametrize(
    ("age", "limit"), [(-5, 50), (0, 50), (9.999, 50), (10, 150), (29.9, 150), (30, 400), (1e6, 400)]
)
def test_a_limit_widens_in_steps(age: float, limit: float) -> None:
    (rule,) = modes(tables())["ranked_duel"].rules or ()
    assert isinstance(rule, Difference)
    assert rule.limit(age) == limit
    assert rule.changes() == (10, 30)


@pytest.mark.parametrize(("age", "limit"), [(-5, 200), (0, 200), (1.5, 215), (60, 800), (61, 800)])
def test_a_limit_widens_by_the_second(age: float, limit: float) -> None:
    rule = (modes(tables())["ranked_5v5"].rules or ())[0]
    assert isinstance(rule, Difference)
    assert rule.limit(age) == limit
