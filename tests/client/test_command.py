"""`test-client` as a process of its own."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from match_server import __version__
from match_server.protocol import Enqueue
from tests.client.fake_matchmaker import FakeMatchmaker

COMMAND = (sys.executable, "-m", "test_client")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=30)


def play(fake: FakeMatchmaker, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command against `fake`; its exit status, stdout and stderr."""

    async def scenario() -> tuple[int | None, str, str]:
        async with fake.running():
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                f"--match-server={fake.url}",
                "--loading-seconds=0.01",
                *arguments,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            fake.process = process  # type: ignore[attr-defined] # for the one that signals it
            stdout, stderr = await process.communicate()
            return process.returncode, stdout.decode(), stderr.decode()

    return asyncio.run(scenario())


def test_help_names_every_option_with_examples() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert "Examples:" in result.stdout
    for option in (
        "--match-server",
        "--mix",
        "--seed",
        "--arrival",
        "--json",
        "--max-p99-ms",
        "--max-lost",
        "--log-format",
    ):
        assert option in result.stdout


def test_version() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"match-server {__version__}\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--match-server", "ftp://a"),
        ("--players", "0"),
        ("--game-mode", "no such mode!"),
        ("--mix", "nobody=1"),
        ("--arrival", "slowly"),
        ("--loading-seconds", "soon"),
        ("--json", "/no/such/directory/result.json"),
        ("--no-such-option", "1"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(option: str, value: str) -> None:
    result = run(option, value)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert option in result.stderr


def test_a_good_run_exits_with_0_and_writes_its_result(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    status, stdout, stderr = play(FakeMatchmaker(), "--players=4", "--seed=7", f"--json={file}")
    assert status == 0, stderr
    assert "4 ✓" in stdout
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["passed"]
    assert document["settings"]["seed"] == 7
    assert document["behaviours"]["normal"]["fates"] == {"matched": 4}


def test_the_result_alone_is_on_stdout_if_asked_for() -> None:
    status, stdout, stderr = play(FakeMatchmaker(), "--json=-")
    assert status == 0
    assert json.loads(stdout)["matches"] == 1
    assert "2 ✓" in stderr


def test_an_objective_that_is_not_met_exits_with_1() -> None:
    status, stdout, _ = play(FakeMatchmaker(), "--max-p99-ms=0.001")
    assert status == 1
    assert "✗ p99 ms" in stdout


def test_a_lost_player_exits_with_1() -> None:
    class Silent(FakeMatchmaker):
        def handle(self, link: ServerConnection, message: Any) -> None:
            pass

    status, stdout, _ = play(Silent(), "--players=1", "--deadline-seconds=0.1")
    assert status == 1
    assert "✗ lost: 1" in stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_cleanly_with_what_it_has(number: signal.Signals, status: int) -> None:
    class Signals(FakeMatchmaker):
        process: asyncio.subprocess.Process

        def enqueue(self, link: ServerConnection, message: Enqueue) -> None:
            super().enqueue(link, message)
            self.process.send_signal(number)

    fake = Signals()
    returned, stdout, stderr = play(fake, "--players=1", "--json=-")
    assert returned == status
    assert json.loads(stdout)["interrupted"]
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert fake.players == {}  # it left
