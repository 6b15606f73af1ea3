"""From the queue into the game: a node, a dedicated server and simulated players, as processes."""

import json
from pathlib import Path

import pytest

from tests.shared.node import Node, Process, run


@pytest.mark.parametrize(
    ("frames", "mix", "rejections"),
    [
        ("json", "plays=1", set()),
        ("json", "plays=3,drops=1,stalls=1", set()),
        ("json", "plays=2,teleports=1,floods=1", {"too_fast"}),
        ("protobuf", "plays=3,drops=1,teleports=1,floods=1,stalls=1", {"too_fast"}),
    ],
    ids=["fair", "bad-links", "hostile", "protobuf"],
)
def test_matched_players_play(node: Node, tmp_path: Path, frames: str, mix: str, rejections: set[str]) -> None:
    with Process(
        tmp_path, "dedicated_server_stub", "--match-server", node.base, "--session-seconds", "0", "--drain-seconds", "0"
    ) as server:
        server.wait_for_output("ready")
        options = ["--players", "8", "--join", "--play-seconds", "3", "--play-mix", mix, "--frames", frames]
        done = run("test_client", "--match-server", node.base, *options, "--seed", "7", "--json", "-", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["violations"] == []
    rooms = report["rooms"]
    assert rooms["players"] == 8
    assert set(rooms["rejections"]) == rejections
    assert rooms["update_latency_ms"]["count"] > 30
