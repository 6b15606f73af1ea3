"""The page's own client, from the queue into a room, and how the page is served."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

import dedicated_server_stub
from tests.shared.node import Node, Process

NODE = shutil.which("node")
CLIENT = Path(dedicated_server_stub.__file__).parent / "page" / "client.js"
SCRIPT = Path(__file__).with_name("play_page.mjs")


def dedicated_server(node: Node, folder: Path) -> Process:
    options = ("--match-server", node.base, "--session-seconds", "0", "--drain-seconds", "0")
    return Process(folder, "dedicated_server_stub", *options)


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_the_pages_client_plays(node: Node, tmp_path: Path) -> None:
    assert NODE
    with dedicated_server(node, tmp_path) as server:
        server.wait_for_output("ready")
        command = [NODE, "--experimental-websocket", "--no-warnings", str(SCRIPT), str(CLIENT)]
        url = f"{node.base.replace('http', 'ws')}/ws/"
        done = subprocess.run([*command, url], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"result": None, "code": 1000}] * 2


def test_the_page_loads_only_its_own_parts(node: Node, tmp_path: Path) -> None:
    with dedicated_server(node, tmp_path) as server:
        base = server.wait_for_output(r"ready on (http://\S+)")[1]
        with httpx.Client(base_url=base, trust_env=False) as browser:
            page = browser.get("/play")
            assert page.headers["content-type"].startswith("text/html")
            policy = page.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
            assert "unsafe" not in policy
            parts = re.findall(r'(?:href|src)="([^"]+)"', page.text)
            assert parts == ["play/style.css", "play/play.js"]
            for part in [*parts, "play/client.js"]:
                assert browser.get(f"/{part}").status_code == 200
    assert not re.search(r"<script>|<style|style=| on\w+=", page.text), "the policy forbids what stands in the page"
