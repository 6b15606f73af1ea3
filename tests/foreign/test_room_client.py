"""Two players in a room see the same world: one in TypeScript, generated from room.proto, one in Python, by JSON."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.docs.markdown import ROOT
from tests.shared.node import Node, Process
from tests.shared.player import players_on, queue_all

SOURCES = Path(__file__).parent / "typescript"
BUILD_SECONDS, PLAY_SECONDS = 300, 30
STEPS = 20

pytestmark = pytest.mark.timeout(BUILD_SECONDS + PLAY_SECONDS)


@pytest.fixture(scope="module")
def player_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled, with the messages that are generated from the schema."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here")
    folder = tmp_path_factory.mktemp("foreign") / "typescript"
    shutil.copytree(SOURCES, folder)
    (folder / "generated").mkdir()
    for command in (
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"],
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'dedicated_server_stub'}"),
            "--plugin=protoc-gen-es=node_modules/.bin/protoc-gen-es",
            *("--es_out=generated", "--es_opt=target=ts", "room.proto"),
        ],
        ["node_modules/.bin/tsc"],
    ):
        subprocess.run(command, cwd=folder, check=True, timeout=BUILD_SECONDS)
    return folder / "built/player.js"


class Player:
    """The one in Python, by JSON."""

    def __init__(self, link: ClientConnection) -> None:
        self.link = link
        self.chat: list[str] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.link.send(json.dumps({"type": kind, **fields}))

    async def hears(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next message of a kind, with these fields."""
        while True:
            message: dict[str, Any] = json.loads(await self.link.recv())
            if message["type"] == "chat":
                self.chat.append(message["text"])
            if message["type"] == kind and message.items() >= fields.items():
                return message

    async def walk(self) -> None:
        """Move in small steps, the next when the last is applied."""
        welcome = await self.hears("welcome")
        me = next(player for player in welcome["players"] if player["player_id"] == welcome["player_id"])
        place = {name: me[name] for name in ("x", "y", "z", "yaw")}
        for seq in range(me["seq"] + 1, me["seq"] + STEPS + 1):
            place["y"] += -0.1 if place["y"] > 0 else 0.1
            await self.say("move", seq=seq, **place)
            while all(player["player_id"] != me["player_id"] for player in (await self.hears("state"))["players"]):
                pass


async def play(node: Node, player_js: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The worlds that the two players saw at the end: the one in TypeScript, and the one in Python."""
    async with players_on(node, "typescript", "python") as players:
        await queue_all(players)
        for player in players:
            await player.load()
        theirs, ours = [await player.expect("match_found") for player in players]
    command = ("node", str(player_js), theirs["server_address"], theirs["join_token"], str(STEPS))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with connect(ours["server_address"], subprotocols=[Subprotocol("room.v1.json")]) as link:
        me = Player(link)
        await me.say("join", join_token=ours["join_token"])
        await me.walk()
        while "done" not in me.chat:
            await me.hears("chat")
        await me.say("snapshot")
        state = await me.hears("state", full=True)
        await me.say("chat", text="look")
        output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output), state


def hosting(node: Node, folder: Path) -> Process:
    """A dedicated server with rooms."""
    return Process(folder, "dedicated_server_stub", "--match-server", node.base, "--drain-seconds", "0")


def test_both_see_the_same_world(redis_url: str, prefix: str, tmp_path: Path, player_js: Path) -> None:
    with Node(tmp_path, redis_url, prefix) as node, hosting(node, tmp_path) as server:
        server.wait_for_output("ready")

        async def within_time() -> tuple[dict[str, Any], dict[str, Any]]:
            async with asyncio.timeout(PLAY_SECONDS):
                return await play(node, player_js)

        seen, state = asyncio.run(within_time())
    thousandths = {
        player["player_id"]: {"seq": player["seq"], **{name: round(1000 * player[name]) for name in "xyz"}}
        for player in state["players"]
    }
    assert seen == {"protocol": "room.v1.protobuf", "world": thousandths, "chat": ["done", "look"]}
    assert {place["seq"] for place in thousandths.values()} == {STEPS}
