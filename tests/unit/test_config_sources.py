"""Where settings come from, and names and files that are none of them."""

from pathlib import Path

import pytest
from structlog.typing import EventDict

from match_server.config import load_settings, warn_of_unknown_variables
from match_server.matching.modes import GameMode
from tests.unit.settings_refusal import refusal

pytestmark = pytest.mark.usefixtures("empty_environment")


def test_options_come_before_the_environment_before_dotenv_before_the_toml_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("port", "max_connections", "allocation_attempts", "max_message_bytes")
    toml = tmp_path / "match.toml"
    toml.write_text("\n".join(f"{name} = 1001" for name in names))
    monkeypatch.setenv("MATCH_CONFIG", str(toml))
    monkeypatch.setenv("MATCH_PORT", "1003")
    monkeypatch.setenv("MATCH_MAX_CONNECTIONS", "1003")
    (tmp_path / ".env").write_text("MATCH_PORT=1002\nMATCH_MAX_CONNECTIONS=1002\nMATCH_ALLOCATION_ATTEMPTS=99\n")
    loaded = load_settings(port=1004)
    found = [loaded.port, loaded.max_connections, loaded.allocation_attempts]
    assert found == [1004, 1003, 99]
    assert loaded.max_message_bytes == 1001


def test_an_option_that_is_none_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCH_PORT", "9999")
    assert load_settings(port=None).port == 9999


def test_game_modes_may_be_a_table_of_the_toml_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toml = tmp_path / "match.toml"
    toml.write_text('key_prefix = "{eu}:"\n[game_modes]\nDuel = 2\n"Battle.Royale" = 100\n')
    monkeypatch.setenv("MATCH_CONFIG", str(toml))
    loaded = load_settings()
    assert loaded.game_modes == (GameMode("Duel", 2), GameMode("Battle.Royale", 100))
    assert loaded.key_prefix == "{eu}:"


def test_a_misspelt_variable_is_told_beside_what_is_wrong_in_the_toml_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "match.toml").write_text("prot = 1\n")
    monkeypatch.setenv("MATCH_CONFIG", str(tmp_path / "match.toml"))
    monkeypatch.setenv("MATCH_ADMINKEY", "x")
    assert [line.partition(": ")[0] for line in refusal().splitlines()] == ["MATCH_ADMINKEY", "MATCH_CONFIG"]


@pytest.mark.parametrize("table", ["[[game_modes]]\nname = 'Solo mode!'\nplayers = 1\n", "game_modes = ['Duel:2']\n"])
def test_game_modes_of_another_form_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: str) -> None:
    (tmp_path / "match.toml").write_text(table)
    monkeypatch.setenv("MATCH_CONFIG", str(tmp_path / "match.toml"))
    assert refusal() == "MATCH_GAME_MODES: expected a table: [game_modes], and in it Normal_1v1 = 2"


def test_the_toml_file_may_be_named_in_dotenv_like_any_other_setting(tmp_path: Path) -> None:
    (tmp_path / "match.toml").write_text("port = 1234\n")
    (tmp_path / ".env").write_text(f"MATCH_CONFIG={tmp_path / 'match.toml'}\n")
    assert load_settings().port == 1234


# --- names ---


def test_variables_of_other_programs_are_none_of_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHA_OF_THE_DAY", "yes")
    monkeypatch.setenv("PORT", "1")
    assert load_settings().port == 8080


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MATCH_GAMEMODES", "did you mean MATCH_GAME_MODES?"),
        ("match_sever_key", "did you mean MATCH_SERVER_KEY?"),
        ("MATCH_PROT", "did you mean MATCH_PORT?"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, told: str
) -> None:
    """It was meant to set something: a key that is not set leaves a door open."""
    monkeypatch.setenv(name, "1")
    line = refusal()
    assert line.startswith(f"{name.upper()}: no such setting; ")
    assert told in line
    assert "\n" not in line

    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}=1\n")
    assert refusal() == line


@pytest.mark.parametrize("name", ["MATCH_OF_THE_DAY", "MATCH_LOG_LEVEL", "MATCH_WS_URL", "MATCH_SERVER_NAME", "MATCH_"])
def test_a_variable_that_only_begins_like_a_setting_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, logs: list[EventDict], name: str
) -> None:
    """A script that starts a node may have names of its own."""
    monkeypatch.setenv(name, "1")
    assert load_settings().port == 8080
    warn_of_unknown_variables()
    assert [(line["event"], line["variable"]) for line in logs] == [("unknown_setting", name)]


def test_each_variable_that_is_no_setting_has_its_line_beside_the_wrong_values(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MATCH_PROT", "MATCH_HOTS", "MATCH_TICK_SECONDS"):
        monkeypatch.setenv(name, "x")
    names = [line.partition(":")[0] for line in refusal().splitlines()]
    assert names == ["MATCH_HOTS", "MATCH_PROT", "MATCH_TICK_SECONDS"]


def test_what_kubernetes_says_of_a_service_named_match_server_is_none_of_its_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "SERVICE_HOST": "10.0.0.11",
        "SERVICE_PORT": "8080",
        "SERVICE_PORT_HTTP": "8080",
        "PORT": "tcp://10.0.0.11:8080",
        "PORT_8080_TCP": "tcp://10.0.0.11:8080",
        "PORT_8080_TCP_PROTO": "tcp",
        "PORT_8080_TCP_PORT": "8080",
        "PORT_8080_TCP_ADDR": "10.0.0.11",
    }.items():
        monkeypatch.setenv(f"MATCH_SERVER_{name}", value)
    assert load_settings().port == 8080


def test_a_name_in_the_toml_file_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toml = tmp_path / "match.toml"
    toml.write_text("port = 1\nprot = 1\n[gamemodes]\nDuel = 2\n")
    monkeypatch.setenv("MATCH_CONFIG", str(toml))
    assert refusal().splitlines() == [
        "MATCH_CONFIG: gamemodes: no such setting; did you mean game_modes?",
        "MATCH_CONFIG: prot: no such setting; did you mean port?",
    ]


# --- files that cannot be used ---


def test_a_toml_file_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MATCH_CONFIG", str(tmp_path / "nowhere.toml"))
    assert refusal() == f"MATCH_CONFIG: {tmp_path / 'nowhere.toml'} is not a file"
    monkeypatch.setenv("MATCH_CONFIG", str(tmp_path))
    assert refusal() == f"MATCH_CONFIG: {tmp_path} is not a file"


@pytest.mark.parametrize("content", [b"port = ", b"port : 1", b'name = "\xff"', b"\x00"])
def test_a_file_that_is_not_toml_is_one_readable_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    toml = tmp_path / "match.toml"
    toml.write_bytes(content)
    monkeypatch.setenv("MATCH_CONFIG", str(toml))
    line = refusal()
    assert line.startswith("MATCH_CONFIG")
    assert "\n" not in line


def test_a_dot_env_that_is_not_text_is_one_readable_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"MATCH_PORT=\xff\n")
    line = refusal()
    assert line.startswith("MATCH_CONFIG or .env: not UTF-8")
    assert "\n" not in line


def test_a_wrong_value_in_the_toml_file_is_named_like_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toml = tmp_path / "match.toml"
    toml.write_text("port = 70000\n[game_modes]\nDuel = 1\n")
    monkeypatch.setenv("MATCH_CONFIG", str(toml))
    names = [line.partition(":")[0] for line in refusal().splitlines()]
    assert sorted(names) == ["MATCH_GAME_MODES", "MATCH_PORT"]


def test_a_variable_that_lacks_its_unit_is_warned_of_by_the_right_name(
    monkeypatch: pytest.MonkeyPatch, logs: list[EventDict]
) -> None:
    monkeypatch.setenv("MATCH_LOADING_TIMEOUT", "20")
    assert load_settings().loading_timeout_seconds == 60
    warn_of_unknown_variables()
    (line,) = logs
    assert line["variable"] == "MATCH_LOADING_TIMEOUT"
    assert "did you mean MATCH_LOADING_TIMEOUT_SECONDS?" in line["detail"]
