"""docs/operations.md names what there is to see."""

import ast
import re
import shlex
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx

from match_server.config import Settings, variable
from tests.docs.markdown import ROOT, marked, read
from tests.shared.node import Node, Process, eventually
from tests.shared.tcp_redis import free_ports

DOC = "docs/operations.md"


def test_metrics_that_alerts_name_exist(node: Node) -> None:
    eventually(lambda: "match_notification_lag_seconds" in node.http.get("/metrics").text)  # after the first heartbeat
    text = node.http.get("/metrics").text
    named = set(re.findall(r"`(match_\w+?)(?:\{[^`]*)?`", read(DOC)))
    exposed = {name for name in named if re.search(rf"^# HELP {name.removesuffix('_count')} ", text, re.MULTILINE)}
    assert named - exposed == {"match_cancelled", "match_found"}, "frames and an event, no metrics"


def test_the_fields_of_a_queue_are_those_that_are_named(node: Node) -> None:
    section = read(DOC).partition("`GET /queues/{game_mode}` give")[2].partition("Players wait")[0]
    assert set(re.findall(r"`(\w+)`", section)) | {"game_mode"} == set(node.queue())


def events_logged() -> set[str]:
    """The events that the node's code logs at `info` or above."""
    found: set[str] = set()
    for path in (ROOT / "match_server").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            level = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            if level in {"info", "warning", "error"} and call.args:
                texts = [str(part.value) for part in ast.walk(call.args[0]) if isinstance(part, ast.Constant)]
                found |= {text for text in texts if re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}
    return found


def test_each_event_is_listed_and_each_that_is_listed_exists() -> None:
    table = read(DOC).partition("## Logs")[2].partition("## Dedicated servers")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    listed = set(re.findall(r"`([a-z_]+)`", "\n".join(rows)))
    of_debug = {"match_found", "matches_formed", "player_told"}
    assert listed - of_debug == events_logged()


def test_variables_that_are_named_exist() -> None:
    known = {variable(name) for name in Settings.model_fields}
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for page in pages:
        named = set(re.findall(r"\bMATCH_[A-Z_]+\b", page.read_text(encoding="utf-8")))
        assert named <= known, page


def test_several_nodes_run_on_one_machine(tmp_path: Path) -> None:
    """The commands as they stand there, on other ports and for fewer players; one node is killed meanwhile."""
    block = marked(DOC, "command: several nodes").replace("--players 1000 --rate 50", "--players 60 --rate 30")
    ports = ("6390", "8080", "8180")
    for port, free in zip(ports, free_ports(len(ports)), strict=True):
        block = block.replace(port, str(free))
    store, first, second, server, crowd = (shlex.split(line) for line in block.splitlines())
    with ExitStack() as running:

        def start(words: list[str], *, until: str) -> Process:
            process = Process(tmp_path, words[0].replace("-", "_"), *words[1:])
            running.callback(process.kill)
            process.start().wait_for_output(until)
            return process

        running.callback(start(store, until="Press Ctrl").stop, signal.SIGINT)  # it ends the Redis that it has started
        start(first, until="ready on")
        dies = start(second, until="ready on")
        start(server, until=".")
        players = Process(tmp_path, "test_client", *crowd[1:]).start()
        running.callback(players.kill)
        metrics = f"http://127.0.0.1:{second[-1]}/metrics"
        connected = re.compile(r"^match_connections [1-9]", re.MULTILINE)
        eventually(lambda: connected.search(httpx.get(metrics).text), within_seconds=30)
        dies.kill()
        assert players.wait(within_seconds=120) == 0, players.log + players.output
