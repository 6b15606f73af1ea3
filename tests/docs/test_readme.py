"""The README's calls and programs, as they stand there."""

import asyncio
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.docs.curl import ask, calls
from tests.docs.markdown import marked
from tests.shared.node import Node, Process, environment, eventually, run
from tests.shared.player import players_on, queue_all

PROGRAM = ".venv/bin/match-server"


def test_a_server_is_registered_with_curl(node: Node) -> None:
    register, heartbeat, leave = calls("README.md", "command: register heartbeat leave", node)
    assert ask(register).status == 201
    rows = {row["server_id"]: row for row in node.get("/servers")["servers"]}
    assert (rows["eu-2"]["capacity"], rows["eu-2"]["address"]) == (10, "127.0.0.1:7778")

    assert ask(heartbeat).status == 200
    assert ask(leave).status == 204
    assert ask(heartbeat).status == 404, "register again"
    assert "eu-2" not in {row["server_id"] for row in node.get("/servers")["servers"]}


def test_operators_look_inside_with_curl(node: Node) -> None:
    *looks, pause, resume = calls("README.md", "command: look inside", node)
    assert [ask(look).status for look in looks] == [200] * len(looks)
    assert ask(pause).status == 200
    assert node.queue()["paused"]
    assert ask(resume).status == 200
    assert not node.queue()["paused"]


def test_the_shortest_server_hosts_a_match_and_comes_back_after_its_lease(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Its game is shortened; its loop heartbeats every 50 ms instead of every 5 s."""
    source = marked("README.md", "code: server.py")
    shortened = [("time.sleep(60)", "time.sleep(0.5)"), ("time.sleep(5)", "time.sleep(0.05)"), ("9000)", "0)")]
    with Node(tmp_path, redis_url, prefix) as node:
        for old, new in [("http://127.0.0.1:8080", node.base), *shortened]:
            assert source.count(old) == 1, old
            source = source.replace(old, new)
        (tmp_path / "server.py").write_text(source)

        def registered() -> Any:
            return node.get("/servers")["servers"]

        with Process(tmp_path, "server"):
            eventually(registered)
            node.http.delete("/servers/eu-1")  # as if its lease had run out
            eventually(registered)
            asyncio.run(_two_players_meet_at(node, ME))
            eventually(lambda: registered()[0]["active"] == 0)


def test_the_shortest_server_says_in_one_line_why_it_is_refused(redis_url: str, prefix: str, tmp_path: Path) -> None:
    with Node(tmp_path, redis_url, prefix, server_key="k" * 32) as node:
        script = marked("README.md", "code: server.py").replace("http://127.0.0.1:8080", node.base).replace("9000", "0")
        run = [sys.executable, "-c", script]
        done = subprocess.run(run, capture_output=True, text=True, env=environment({}), timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("[^{}]*MATCH_SERVER_KEY[^{}]*\n", done.stderr), done.stderr


ME = "127.0.0.1:7777"


async def _two_players_meet_at(node: Node, address: str) -> None:
    async with players_on(node, "ann", "bob") as players:
        await queue_all(players)
        for player in players:
            await player.load()
        for player in players:
            await player.expect("match_found", server_address=address)


def test_the_modes_are_checked_tried_and_run(tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(marked("README.md", "code: modes.toml"))
    check, simulate, dev = (shlex.split(line) for line in marked("README.md", "command: modes").splitlines())
    assert (check[:2], simulate[:2]) == ([PROGRAM, "check"], [PROGRAM, "simulate"])
    for command in (check, simulate):
        ended = run("match_server", *command[1:], folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert "ranked_duel" in ended.stdout

    assert dev == ["MATCH_CONFIG=modes.toml", PROGRAM, "dev"]
    with Process(tmp_path, "match_server", "dev", config="modes.toml", port=0) as running:
        running.wait_for_output("ranked_duel")
        assert running.stop() == 0
