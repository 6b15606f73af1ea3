"""The drill of allocations, short: whoever holds what at its end."""

from typer.testing import CliRunner

from tests.soak.agones import app


def test_each_session_has_its_game_server_and_none_is_left_over() -> None:
    said = CliRunner().invoke(app, ["--rate", "200", "--seconds", "1"])
    assert said.exit_code == 0, said.output
    assert "200 allocations, 200 a second wanted" in said.output
    assert "failed or double: 0, leaked: 0, allocated in vain: 0" in said.output
