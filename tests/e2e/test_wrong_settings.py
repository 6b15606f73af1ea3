"""A setting, an option or a port that is wrong ends the start with one line that names it."""

import socket
from pathlib import Path

import pytest

import match_server
from tests.shared.node import Node, run


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "x"),
        ("port", "65536"),
        ("host", ""),
        ("redis_url", "mysql://x"),
        ("redis_url", "redis://127.0.0.1:99999"),
        ("game_modes", ""),
        ("game_modes", "Normal_1v1:1"),
        ("game_modes", "Royale:101"),
        ("game_modes", "One:2,One:3"),
        ("game_modes", "a b:2"),
        ("tick_seconds", "nan"),
        ("match_on_enqueue", "maybe"),
        ("loading_timeout_seconds", "0"),
        ("ping_timeout_seconds", "soon"),
        ("allocation_attempts", "1.5"),
        ("server_networks", "127.0.0.1/99"),
        ("allowed_origins", "not an origin"),
        ("trusted_proxies", "x"),
        ("messages_per_second", "0"),
        ("stop_seconds", "-1"),
        ("config", "/no/such/file.toml"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    told = run("match_server", folder=tmp_path, seconds=8, **({"port": 0} | {name: value}))
    assert told.returncode == 2, told
    lines = [line for line in (told.stdout + told.stderr).splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert f"MATCH_{name.upper()}" in lines[0]


def test_a_broken_line_of_the_env_file_is_one_line_that_names_both(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MATCH_TICK_SECONDS=0.2\n# a comment\nthis is broken\nMATCH_PORT 8080\n")
    told = run("match_server", folder=tmp_path, port=0)
    assert told.returncode == 2
    assert told.stderr.splitlines() == [f".env, line {line}: expected NAME=value" for line in (3, 4)]


def test_two_wrong_settings_are_both_named(tmp_path: Path) -> None:
    told = run("match_server", folder=tmp_path, port="x", tick_seconds="y")
    assert told.returncode == 2
    assert "MATCH_PORT" in told.stderr + told.stdout
    assert "MATCH_TICK_SECONDS" in told.stderr + told.stdout
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("command", ["", "demo", "dev"])
def test_a_setting_that_is_misspelt_ends_the_start_with_one_line(tmp_path: Path, command: str) -> None:
    told = run("match_server", *([command] if command else []), folder=tmp_path, seconds=8, sever_key="hunter2")
    assert told.returncode == 2, told
    assert told.stdout + told.stderr == "MATCH_SEVER_KEY: no such setting; did you mean MATCH_SERVER_KEY?\n"


def test_a_wrong_secret_is_not_repeated(tmp_path: Path) -> None:
    url = "redis://:hunter2-secret@127.0.0.1:x/0"
    told = run("match_server", folder=tmp_path, port=0, redis_url=url)
    assert told.returncode == 2
    assert "MATCH_REDIS_URL" in told.stderr + told.stdout
    assert "hunter2-secret" not in told.stderr + told.stdout


@pytest.mark.parametrize(
    "command",
    [("dedicated_server_stub", "--capacity", "0"), ("test_client", "--players", "x"), ("match_server", "--x")],
)
def test_a_wrong_option_ends_the_start_with_status_2(tmp_path: Path, command: tuple[str, ...]) -> None:
    told = run(*command, folder=tmp_path)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert command[1] in told.stderr


@pytest.mark.parametrize(
    ("command", "option", "said"),
    [
        ("demo", "--game-modes=Zed:2", "--game-modes: demo takes no such option"),
        ("dev", "--game-modes=Zed:2", "--game-modes: expected after the command"),
        ("dev", "--redis-url=redis://r", "--redis-url: dev takes no such option"),
    ],
)
def test_an_option_before_the_command_is_not_ignored(tmp_path: Path, command: str, option: str, said: str) -> None:
    told = run("match_server", option, command, folder=tmp_path)
    assert told.returncode == 2
    (line,) = (told.stdout + told.stderr).splitlines()
    assert line.startswith(said)
    assert f"match-server {command} --help" in line
    version = run("match_server", "--version", command, folder=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"match-server {match_server.__version__}\n")


@pytest.mark.parametrize(
    ("command", "name"),
    [([], "MATCH_ADMIN_PORT"), (["--workers", "2"], "MATCH_ADMIN_PORT"), (["platform"], "MATCH_PLATFORM_PORT")],
)
def test_another_port_in_use_is_named_as_such(tmp_path: Path, redis_url: str, command: list[str], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"redis_url": redis_url, "port": 0, "admin_port": port, "platform_port": port}
        told = run("match_server", *command, folder=tmp_path, **settings)
    assert (told.returncode, told.stderr.splitlines()[-1:]) == (
        2,
        [f"{name}: cannot listen on 127.0.0.1:{port}: Address already in use"],
    )


def test_a_token_by_a_short_key_comes_with_one_line_of_ours(tmp_path: Path) -> None:
    told = run("match_server", "token", "ada", folder=tmp_path, player_key="short")
    assert (told.returncode, told.stdout.count(".")) == (0, 2)
    assert told.stderr == "MATCH_PLAYER_KEY: has fewer than 32 bytes, and may be guessed\n"


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one", "workers"])
def test_a_port_in_use_is_said_in_one_line_before_anything_is_started(tmp_path: Path, options: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = run("match_server", *options, folder=tmp_path, port=taken.getsockname()[1], redis_url="embedded://")
    assert told.returncode == 2, told
    lines = [line for line in (told.stdout + told.stderr).splitlines() if line.strip()]
    assert "MATCH_PORT" in "".join(lines)
    assert len(lines) == 1, lines


@pytest.mark.parametrize("host", ["no.such.invalid", "ü" * 70, "192.0.2.1"], ids=["unknown", "long", "elsewhere"])
def test_an_address_that_cannot_be_listened_on_is_the_hosts_fault(tmp_path: Path, host: str) -> None:
    told = run("match_server", "--host", host, folder=tmp_path, port=0, server_key="k" * 32, admin_key="a" * 32)
    assert told.returncode == 2, told
    lines = (told.stdout + told.stderr).splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("MATCH_HOST: cannot listen on ")


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="there is no IPv6 here")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_comes_with_brackets_or_without(tmp_path: Path, redis_url: str, prefix: str, host: str) -> None:
    with Node(tmp_path, redis_url, prefix, host=host) as node:
        assert node.ws == f"ws://[::1]:{node.port}/ws/"
        assert node.http.get("/healthz").status_code == 200
        told = run("match_server", folder=tmp_path, host=host, port=node.port)
        assert told.stderr.startswith(f"MATCH_PORT: cannot listen on [::1]:{node.port}: ")
