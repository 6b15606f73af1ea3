"""`match-server check`, as a user of a shell meets it."""

from pathlib import Path

from tests.matching.modes_page import TEXT
from tests.shared.node import run


def test_a_good_file_is_described(tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(TEXT)
    told = run("match_server", "check", "modes.toml", folder=tmp_path)
    assert told.returncode == 0
    assert told.stdout.startswith(
        "Normal_1v1: 2 players, drawn at random\nranked_duel: 2 players, by rules (difference)"
    )


def test_a_bad_file_ends_with_status_2_and_a_line_for_each_mistake(tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text("[game_modes]\na = 1\nb = { players = 2, rule = [] }\n")
    told = run("match_server", "check", "modes.toml", folder=tmp_path)
    assert told.returncode == 2
    assert told.stderr.splitlines() == [
        "game_modes.a: expected 2 to 100 players, not 1",
        "game_modes.b.rule: no such entry; did you mean rules?",
    ]


def test_the_settings_of_the_file_are_checked_too(tmp_path: Path) -> None:
    text = 'prot = 8081\nloading_timeout_seconds = "20s"\nserver_networks = "10.0.0.0/8"\n[game_modes]\na = 1\n'
    (tmp_path / "modes.toml").write_text(text)
    told = run("match_server", "check", "modes.toml", folder=tmp_path)
    assert told.returncode == 2
    assert told.stderr.splitlines() == [
        "game_modes.a: expected 2 to 100 players, not 1",
        "prot: no such setting; did you mean port?",
        "loading_timeout_seconds: Input should be a valid number, unable to parse string as a number",
    ]


def test_any_setting_may_stand_in_the_file(tmp_path: Path) -> None:
    text = 'placement = "pack"\nadmin_key = "0123456789abcdef"\nmatch_on_enqueue = false\n[game_modes]\na = 2\n'
    (tmp_path / "modes.toml").write_text(text)
    told = run("match_server", "check", "modes.toml", folder=tmp_path)
    assert (told.returncode, told.stdout) == (0, "a: 2 players, drawn at random\n"), told.stderr


def test_a_start_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "match.toml").write_text("[game_modes.duel]\nplayers = 2\nparty_max = 3\n")
    told = run("match_server", folder=tmp_path, config="match.toml")
    assert told.returncode == 2
    assert told.stderr.strip() == (
        "MATCH_GAME_MODES: game_modes.duel: expected `party_max` of at most the match's 2 players"
    )
