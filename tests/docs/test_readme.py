"""The README's calls, made as they stand there."""

import shlex
import shutil
import subprocess
from itertools import pairwise

import httpx

from tests.docs.markdown import marked
from tests.e2e.node import Node

CURL = shutil.which("curl")


def calls(marker: str, node: Node) -> list[list[str]]:
    """The curl commands of a block, one per line, on the test's node."""
    text = marked("README.md", marker).replace("http://127.0.0.1:8080", node.base)
    commands = [shlex.split(line) for line in text.splitlines()]
    assert all(command[0] == "curl" for command in commands)
    return commands


def status_of(command: list[str]) -> int:
    """Carry a curl command out: by curl itself, or where there is none, by its few options."""
    if CURL:
        asked = [CURL, *command[1:], "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]
        return int(subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout)
    options = dict(pairwise(command))
    body = options.get("-d")
    url = next(part for part in command if part.startswith("http://"))
    return httpx.request(options.get("-X", "POST" if body else "GET"), url, content=body, trust_env=False).status_code


def test_a_server_is_registered_with_curl(node: Node) -> None:
    (register,) = calls("command: register", node)
    assert status_of(register) == 201
    rows = {row["server_id"]: row for row in node.get("/servers")["servers"]}
    assert (rows["eu-1"]["capacity"], rows["eu-1"]["address"]) == (10, "127.0.0.1:7777")

    heartbeat, end, leave = calls("command: heartbeat end leave", node)
    assert status_of(heartbeat) == 200
    assert status_of(end) == 204
    assert status_of(leave) == 204
    assert status_of(heartbeat) == 404, "register again"
    assert "eu-1" not in {row["server_id"] for row in node.get("/servers")["servers"]}
