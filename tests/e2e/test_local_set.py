"""What runs a whole set on this machine: `dev`, `demo`, the stub and workers."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.shared.node import Node, Process, environment, run
from tests.shared.player import Player, fresh_id, match_all, players_on

INSTALLED = Path(sys.executable).with_name("match-server")


def test_the_stub_registers_serves_a_match_and_drains_on_sigterm(tmp_path: Path, redis_url: str, prefix: str) -> None:
    with (
        Node(tmp_path, redis_url, prefix) as node,
        Process(
            tmp_path,
            "dedicated_server_stub",
            "--match-server",
            node.base,
            "--session-seconds",
            "0.2",
            "--server-id",
            "s",
        ) as stub,
    ):

        async def journey() -> None:
            async with players_on(node, "ann", "bob") as (ann, bob):
                for player in (ann, bob):
                    await player.queue()
                found, _ = await match_all([ann, bob])
                assert found["server_address"].startswith("ws://127.0.0.1:")

        asyncio.run(journey())
        assert stub.stop() == 0
        assert "Traceback" not in stub.log
        assert node.get("/servers") == {"servers": []}, "it took leave"


def test_dev_prints_its_addresses_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    with Process(tmp_path, "match_server", "dev", "--port", "0", "--servers", "2") as dev:
        websocket = dev.wait_for_output(r"(ws://127\.0\.0\.1:\d+/ws/)")[1]
        base = re.sub(r"^ws(.*)/ws/$", r"http\1", websocket)

        async def journey() -> None:
            page = "http://localhost:3000"  # of a game in development
            async with (
                connect(websocket, proxy=None, origin=Origin(page)) as one,
                connect(websocket, proxy=None) as two,
            ):
                ann, bob = Player(one, fresh_id()), Player(two, fresh_id())
                await ann.queue()
                await bob.queue()
                await match_all([ann, bob])

        asyncio.run(journey())
        rows = httpx.get(f"{base}/servers", trust_env=False).json()["servers"]
        assert len(rows) == 2
        assert dev.stop(signal.SIGINT) == 0
        assert "Traceback" not in dev.log


def in_a_shell(command: str, folder: Path, settings: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Run a printed command as it is, with nothing of ours on PATH."""
    variables = environment(settings) | {"PATH": os.defpath}
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=variables, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("program", "key"),
    [((str(INSTALLED),), ""), ((str(INSTALLED),), ".env"), ((sys.executable, "-m", "match_server"), "environment")],
    ids=["file", "file and .env", "module and key"],
)
def test_the_commands_that_dev_prints_work_as_printed(tmp_path: Path, program: tuple[str, ...], key: str) -> None:
    settings: dict[str, Any] = {"game_modes": "Trio:3", "port": 0}
    if key == "environment":
        settings["player_key"] = "k" * 32
    elif key:
        (tmp_path / key).write_text(f"MATCH_PLAYER_KEY={'k' * 32}\n")
    dev = Process(tmp_path, "match_server", **settings)
    dev.command = (*program, "dev", "--servers", "1")
    with dev:
        printed = dev.wait_for_output(r"(?s).*\ntry +([^\n]+)\n")
        tried = in_a_shell(printed[1], tmp_path, settings)
        assert tried.returncode == 0, tried.stdout + tried.stderr
        token = re.search(r"tokens +(.+) PLAYER_ID", printed[0])
        assert bool(token) == bool(key)
        if token:
            made = in_a_shell(f"{token[1]} ada", tmp_path, settings)
            assert jwt.decode(made.stdout.strip(), "k" * 32, algorithms=["HS256"])["sub"] == "ada"


def test_the_command_that_demo_ends_with_works_as_printed(tmp_path: Path) -> None:
    ended = in_a_shell(f"{INSTALLED} demo --players 2", tmp_path, {})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    dev = Process(tmp_path, "match_server", port=0)
    dev.command = ended.stdout.splitlines()[-1].partition(": ")[2].split()
    with dev:
        dev.wait_for_output("players  ")
        assert dev.stop() == 0


@pytest.mark.parametrize("options", [("--workers", "2"), ("dev", "--servers", "1")], ids=["workers", "dev"])
def test_children_run_no_file_of_the_folder_where_they_are_started(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "queue.py").write_text("import pathlib\npathlib.Path('was-run').touch()\n")
    process = Process(tmp_path, "match_server", port=0)
    process.command = (str(INSTALLED), *options)  # `python -m` itself would run it
    with process:
        process.wait_for_output("ready on|players  ")
        assert process.stop() == 0
    assert not (tmp_path / "was-run").exists()


def test_the_demo_plays_a_mode_by_its_rules(tmp_path: Path) -> None:
    told = run("match_server", "demo", "--mode", "ranked_5v5", "--players", "40", folder=tmp_path, seconds=60)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "matches, by the mode's rules" in told.stdout


def test_the_demo_names_its_modes(tmp_path: Path) -> None:
    told = run("match_server", "demo", "--mode", "Zed", folder=tmp_path)
    assert told.returncode == 2
    assert "--mode: expected Normal_1v1 or ranked_5v5 or ranked_duel" in told.stderr


def test_the_demo_gives_every_player_its_match_and_five_seconds_of_play(tmp_path: Path) -> None:
    started = time.monotonic()
    told = run("match_server", "demo", folder=tmp_path, seconds=40)
    assert told.returncode == 0, told.stdout + told.stderr
    assert 5 < time.monotonic() - started < 30
    assert "Traceback" not in told.stderr
    assert "200" in told.stdout
    assert "200 players, " in told.stdout
