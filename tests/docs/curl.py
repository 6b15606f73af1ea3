"""The documentation's curl commands, carried out on a test's node."""

import json
import shlex
import shutil
import subprocess
from typing import Any, NamedTuple

import pytest

from tests.docs.markdown import marked
from tests.shared.node import Node

CURL = shutil.which("curl")


class Answered(NamedTuple):
    """What curl got."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """Its body, behind the headers that `curl -i` prints."""
        return json.loads(self.text.rpartition("\n\n")[2])


def calls(page: str, marker: str, node: Node) -> list[list[str]]:
    """The curl commands of a block, one per line, on the test's node."""
    text = marked(page, marker).replace("http://127.0.0.1:8080", node.base)
    commands = [shlex.split(line) for line in text.splitlines()]
    assert all(command[0] == "curl" for command in commands)
    return commands


def ask(command: list[str]) -> Answered:
    """Carry a curl command out, as it stands there."""
    if CURL is None:
        pytest.skip("there is no curl here")
    asked = [CURL, *command[1:], "--silent", "--write-out", "\n%{http_code}"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
    text, _, status = told.stdout.rpartition("\n")
    return Answered(int(status), text)
