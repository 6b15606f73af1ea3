"""The commands as a user of a shell meets them: help, names, and the same words everywhere."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import match_server
from tests.shared.node import Node, run

COMMANDS = [
    ("match_server",),
    ("match_server", "demo"),
    ("match_server", "dev"),
    ("dedicated_server_stub",),
    ("test_client",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(tmp_path: Path, command: tuple[str, ...]) -> None:
    told = run(*command, "--help", folder=tmp_path)
    assert told.returncode == 0
    for option in ("--help", "--version", "--log-format", "--log-level"):
        assert option in told.stdout
    version = run(*command, "--version", folder=tmp_path)
    assert version.returncode == 0
    assert match_server.__version__ in version.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_h_is_help(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert run(*command, "-h", folder=tmp_path).stdout == run(*command, "--help", folder=tmp_path).stdout


@pytest.mark.parametrize(("option", "value"), [("--match-server", "ftp://a"), ("--game-mode", "no such mode!")])
def test_the_same_wrong_option_is_refused_in_the_same_words(tmp_path: Path, option: str, value: str) -> None:
    told = {
        run(command, option, value, folder=tmp_path).stderr.partition(": ")[2]
        for command in ("dedicated_server_stub", "test_client")
    }
    assert len(told) == 1, told


def test_a_run_without_a_node_says_so_in_one_line(tmp_path: Path) -> None:
    told = run("test_client", "--match-server", "127.0.0.1:9", "--deadline-seconds", "0.5", folder=tmp_path)
    assert told.returncode == 1
    (line,) = (told.stdout + told.stderr).splitlines()
    assert line.startswith("test-client: no player came in: ws://127.0.0.1:9/ws/: ")
    assert "refused" in line


def test_both_programs_say_what_the_node_said(tmp_path: Path, redis_url: str, prefix: str) -> None:
    keys: dict[str, Any] = {"player_key": "p" * 32, "server_key": "s" * 32}
    with Node(tmp_path, redis_url, prefix, **keys) as node:
        client = run("test_client", "--match-server", node.base, player_key="q" * 32, folder=tmp_path)
        (line,) = (client.stdout + client.stderr).splitlines()
        assert line == "test-client: no player came in: the token's signature is wrong"
        assert client.returncode == 1
        stub = run("dedicated_server_stub", "--match-server", node.ws, folder=tmp_path)
        assert stub.stderr.endswith("refused, 401: Authorization: expected Bearer and MATCH_SERVER_KEY\n")
        mode = run("test_client", "--match-server", node.base, "--game-mode", "Nope", folder=tmp_path, **keys)
        assert "game_mode: expected one of Normal_1v1" in mode.stdout + mode.stderr


@pytest.mark.parametrize("name", ["match-server", "dedicated-server-stub", "test-client"])
def test_every_command_is_installed_by_its_name(name: str) -> None:
    assert shutil.which(name, path=str(Path(sys.executable).parent)), f"{name} is not beside {sys.executable}"


def test_the_settings_stand_in_the_help(tmp_path: Path) -> None:
    told = run("match_server", "--help", folder=tmp_path).stdout
    contract = """
        HOST PORT REDIS_URL KEY_PREFIX GAME_MODES CONFIG TICK_SECONDS MATCH_ON_ENQUEUE QUEUE_TIMEOUT_SECONDS
        LOADING_TIMEOUT_SECONDS RECONNECT_GRACE_SECONDS PING_INTERVAL_SECONDS PING_TIMEOUT_SECONDS NODE_LEASE_SECONDS
        SERVER_LEASE_SECONDS ALLOCATION_TIMEOUT_SECONDS ALLOCATION_ATTEMPTS ALLOCATION_WAIT_SECONDS SERVER_NETWORKS
        SERVER_KEY ADMIN_KEY PLAYER_KEY ALLOWED_ORIGINS TRUSTED_PROXIES MAX_CONNECTIONS MAX_CONNECTIONS_PER_ADDRESS
        MESSAGES_PER_SECOND STOP_SECONDS
    """
    assert [name for name in contract.split() if f"MATCH_{name}" not in told] == []
