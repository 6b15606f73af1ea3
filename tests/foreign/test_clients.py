"""Two players with a WebSocket client that is not of Python's `websockets` find each other on a real node.

Each program offers the subprotocols `x` and `match.v1`, and compression or fragments where its library can; it prints
the session that it was told, the close code and the subprotocol, as JSON.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import fresh_id

SOURCES = Path(__file__).parent
BUILD_SECONDS, PLAY_SECONDS = 300, 30
# By language: what builds its programs, in a copy of its folder.
BUILDS: dict[str, Sequence[Sequence[str]]] = {
    "go": [["go", "build", "-o", "bin/", "./..."]],
    "java": [["javac", "Client.java"]],
    "node": [["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]],
    "python": [[sys.executable, "-m", "venv", "env"], ["env/bin/pip", "install", "-q", "-r", "requirements.txt"]],
    "rust": [["cargo", "build", "-q"]],
}
CLIENTS = [
    ("go", ["bin/coder"]),
    ("go", ["bin/gorilla"]),
    ("java", ["java", "Client"]),
    ("node", ["node", "undici.mjs"]),
    ("node", ["node", "websocket.mjs"]),
    ("node", ["node", "ws.mjs"]),
    ("python", ["env/bin/python", "with_aiohttp.py"]),
    ("python", ["env/bin/python", "with_websocket_client.py"]),
    ("rust", ["target/debug/foreign"]),
]

pytestmark = pytest.mark.timeout(BUILD_SECONDS + PLAY_SECONDS)


@pytest.fixture(scope="module", params=sorted(BUILDS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A language, and the folder with its programs."""
    language: str = request.param
    tool = BUILDS[language][0][0]
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool} here")
    folder = tmp_path_factory.mktemp("foreign") / language
    shutil.copytree(SOURCES / language, folder)
    for command in BUILDS[language]:
        subprocess.run(command, cwd=folder, check=True, timeout=BUILD_SECONDS)
    return language, folder


def test_two_players_find_each_other(built: tuple[str, Path], redis_url: str, prefix: str, tmp_path: Path) -> None:
    language, folder = built

    async def play(node: Node, program: Sequence[str]) -> list[dict[str, object]]:
        command = [str(folder / program[0]) if "/" in program[0] else program[0], *program[1:]]
        players = [
            await asyncio.create_subprocess_exec(
                *command, node.ws, fresh_id(language), cwd=folder, stdout=asyncio.subprocess.PIPE
            )
            for _ in range(2)
        ]
        async with asyncio.timeout(PLAY_SECONDS):
            outputs = await asyncio.gather(*(player.communicate() for player in players))
        assert [player.returncode for player in players] == [0, 0]
        return [json.loads(output) for output, _ in outputs]

    async def play_all(node: Node) -> None:
        async with FakeServer(node):
            for program in [program for its, program in CLIENTS if its == language]:
                ann, bob = await play(node, program)
                assert ann["session_id"], program
                assert ann == bob | {"code": 1000, "subprotocol": "match.v1"}, program
                eventually(lambda: not node.players_under_way())

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(play_all(node))
