"""From the queue into the game: a node, a dedicated server and simulated players, as processes."""

import json
from pathlib import Path

import pytest

from tests.shared.node import Node, Process, run


@pytest.mark.parametrize(
    ("mix", "rejections"),
    [("plays=1", set()), ("plays=3,drops=1,stalls=1", set()), ("plays=2,teleports=1,floods=1", {"too_fast"})],
    ids=["fair", "bad-links", "hostile"],
)
def test_matched_players_play(node: Node, tmp_path: Path, mix: str, rejections: set[str]) -> None:
    with Process(
        tmp_path, "dedicated_server_stub", "--match-server", node.base, "--session-seconds", "0", "--drain-seconds", "0"
    ) as server:
        server.wait_for_output("ready")
        options = ["--players", "8", "--join", "--play-seconds", "3", "--play-mix", mix, "--seed", "7", "--json", "-"]
        done = run("test_client", "--match-server", node.base, *options, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["violations"] == []
    rooms = report["rooms"]
    assert rooms["players"] == 8
    assert set(rooms["rejections"]) == rejections
    assert rooms["update_latency_ms"]["count"] > 30
