"""Whole runs of simulated players against real nodes, in modes whose matches are formed by rules."""

import json
from pathlib import Path
from typing import Any

from tests.shared.node import Node, Process
from tests.shared.prefix import fresh_prefix

MODES = """
[attributes]
rating = { type = "number", default = 1500, min = 0, max = 5000 }
latency = { type = "latencies" }

[game_modes.squads]
teams = { blue = 3, red = 3 }
party_max = 3
rules = [
  { kind = "difference", attribute = "rating", max = 400, widen_per_second = 400 },
  { kind = "team_difference", attribute = "rating", max = 200, widen_per_second = 200 },
  { kind = "latency", attribute = "latency", max = 60, widen = [{ after_seconds = 1, max = 150 }] },
]
"""


def simulate(folder: Path, redis_url: str, *options: str) -> tuple[int, Any]:
    """Two nodes with a server in each region, and players on both. The exit status, and the document of the run."""
    modes = folder / "modes.toml"
    modes.write_text(MODES)
    prefix = fresh_prefix()
    settings: dict[str, Any] = {"config": modes, "party_timeout_seconds": 1.5, "loading_timeout_seconds": 1.5}
    settings |= {"reconnect_grace_seconds": 1}
    with Node(folder, redis_url, prefix, **settings) as one, Node(folder, redis_url, prefix, **settings) as two:
        servers = [
            Process(
                folder,
                "dedicated_server_stub",
                *("--match-server", one.base, "--capacity", "100", "--session-seconds", "1", "--region", region),
            )
            for region in ("eu", "us")
        ]
        with servers[0], servers[1]:
            for server in servers:
                server.wait_for_output("ready on")
            client = Process(
                folder,
                "test_client",
                *("--match-server", f"{one.ws},{two.ws}", "--game-mode", "squads", "--modes", str(modes)),
                *("--attribute", "rating=normal:1500:300", "--latency", "eu=20:60,us=90:140"),
                *("--parties", "1:60,2:30,3:10", "--seed", "5", "--json", str(folder / "run.json"), *options),
            )
            with client:
                status = client.wait(within_seconds=60)
        assert "Traceback" not in client.log, client.log
    return status, json.loads((folder / "run.json").read_text())


def test_players_and_parties_get_matches_by_the_rules(tmp_path: Path, redis_url: str) -> None:
    # Pairs wait for ever once the players who came alone have been matched with each other: two fit no team of three.
    options = ("--players", "90", "--max-left-waiting", "24", "--deadline-seconds", "12")
    status, run = simulate(tmp_path, redis_url, *options)
    assert status == 0, run["objectives"]
    assert run["violations"] == run["unexpected"] == []
    assert run["matches"] >= 11
    assert run["quality"]["difference"]["count"] == run["matches"] == run["regions"]["eu"]
    assert run["quality"]["team_difference"]["p50"] <= run["quality"]["difference"]["p50"]


def test_members_that_misbehave_take_their_party_along_and_nobody_is_lost(tmp_path: Path, redis_url: str) -> None:
    mix = "normal=12,never-loads=1,drops-link=1,drops-out=1,leaves-party=1,gathers-late=1,quits-while-loading=1"
    options = ("--players", "90", "--mix", mix, "--max-left-waiting", "24", "--deadline-seconds", "15")
    status, run = simulate(tmp_path, redis_url, *options)
    assert status == 0, (run["objectives"], run["unexpected"], run["violations"])
    ends = {fate for behaviour in run["behaviours"].values() for fate in behaviour["fates"]}
    assert {"matched", "vanished", "dequeued:party_left", "dequeued:party_timeout"} <= ends
