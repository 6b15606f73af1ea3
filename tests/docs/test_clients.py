"""The README's clients, as they stand there: against a real node, and against every way in which a link may end.

The JavaScript one runs on Node.js where that is on PATH and has a WebSocket (20 and newer). Where it has none, only its
syntax is checked; without Node.js only the Python client is tested.
"""

import asyncio
import json
import random
import shutil
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode as WebSocketsCloseCode

from match_server.protocol import CloseCode
from tests.docs.markdown import marked
from tests.e2e.node import Node, environment

DEFAULT_URL = "ws://127.0.0.1:8080/ws/"
NODE_JS = shutil.which("node")
TOKEN = "Normal_1v1~a-token"
DROPPED = WebSocketsCloseCode.ABNORMAL_CLOSURE

FindMatch = Callable[..., Awaitable[dict[str, Any]]]
Script = Callable[[ServerConnection], Awaitable[None]]


def javascript_runs() -> bool:
    if NODE_JS is None:
        return False
    probe = [NODE_JS, "--experimental-websocket", "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"]
    return subprocess.run(probe, capture_output=True, timeout=20, check=False).returncode == 0


JAVASCRIPT_RUNS = javascript_runs()


def python_client() -> FindMatch:
    """`find_match` of the README."""
    module: dict[str, Any] = {"__name__": "client"}
    exec(compile(marked("README.md", "code: client.py"), "README.md", "exec"), module)  # noqa: S102 - our own README
    find_match: FindMatch = module["find_match"]
    return find_match


def javascript(folder: Path, url: str, *, head: str = "") -> list[str]:
    """The command that runs the README's script, on its own example call."""
    assert NODE_JS
    source = marked("README.md", "code: client.js")
    assert source.count(DEFAULT_URL) == 1
    script = folder / "client.js"
    script.write_text(head + source.replace(DEFAULT_URL, url))
    return [NODE_JS, "--experimental-websocket", "--no-warnings", str(script)]


async def output_of(command: list[str]) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment({}), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


def test_both_clients_find_a_match(node: Node, tmp_path: Path) -> None:
    """As programs, with the README's own last lines; where JavaScript cannot run, Python plays against itself."""
    source = marked("README.md", "code: client.py")
    assert source.count(DEFAULT_URL) == source.count('"player-py"') == 1
    commands = []
    for name in ("player-py", "player-py-2"):
        script = tmp_path / f"{name}.py"
        script.write_text(source.replace(DEFAULT_URL, node.ws).replace('"player-py"', f'"{name}"'))
        commands.append([sys.executable, str(script)])
    if JAVASCRIPT_RUNS:
        commands[1] = javascript(tmp_path, node.ws)

    async def play() -> list[tuple[int | None, str, str]]:
        return list(await asyncio.gather(*map(output_of, commands)))

    first, second = asyncio.run(play())
    assert first[0] == second[0] == 0, (first, second)
    assert first[1] == second[1]
    assert first[1].startswith("connect to ws://")


def test_the_javascript_is_well_formed(tmp_path: Path) -> None:
    """As far as there is a Node.js to say so; without one, only that it stands in the README."""
    script = tmp_path / "client.js"
    script.write_text(marked("README.md", "code: client.js"))
    if NODE_JS:
        checked = subprocess.run([NODE_JS, "--check", script], capture_output=True, text=True, check=False, timeout=20)
        assert checked.returncode == 0, checked.stderr


class Scripted:
    """A service that ends its first connection in a given way, and lets the second one find a match."""

    def __init__(self, first: Script) -> None:
        self._first = first
        self.requests: list[dict[str, Any]] = []  # the first message of each connection
        self.connections = 0

    async def handle(self, link: ServerConnection) -> None:
        self.connections += 1
        self.requests.append(json.loads(await link.recv()))
        if self.connections == 1:
            await self._first(link)
            return
        for frame in (
            {"type": "resumed", "seq": 2, "state": "loading", "game_mode": "Normal_1v1", "resume_token": TOKEN},
            {"type": "start_loading", "seq": 3, "loading_session_id": str(uuid.UUID(int=1))},
        ):
            await link.send(json.dumps(frame))
        assert json.loads(await link.recv()) == {
            "type": "loading_complete",
            "loading_session_id": str(uuid.UUID(int=1)),
        }
        await link.send(json.dumps({"type": "match_found", "seq": 4, "session_id": "s", "server_address": "game:1"}))
        await link.wait_closed()


def ending_with(code: int) -> Script:
    """Say `queued`, then end the connection."""

    async def first(link: ServerConnection) -> None:
        await link.send(json.dumps({"type": "queued", "seq": 1, "game_mode": "Normal_1v1", "resume_token": TOKEN}))
        if code != DROPPED:
            await link.close(code)
            return
        await (await link.ping())  # it has read `queued`: a reset takes with it what is still on its way
        link.transport.abort()

    return first


Player = Callable[[Path, Scripted], Coroutine[Any, Any, str]]


async def play_python(_: Path, service: Scripted) -> str:
    """What became of the player: the address, or what was raised."""

    async def load(_: Any) -> None:
        return

    async with serve(service.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(20):
                found = await python_client()(f"ws://127.0.0.1:{port}/ws/", "player-py", "Normal_1v1", load)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what a user of the client would see
            return f"failed: {error}"
        return str(found["server_address"])


async def play_javascript(folder: Path, service: Scripted) -> str:
    async with serve(service.handle, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/"
        status, out, err = await output_of(javascript(folder, url, head="Math.random = () => 0;\n"))
        return out.strip().removeprefix("connect to ") if status == 0 else f"failed: {err}"


PLAYERS = [play_python, *([play_javascript] if JAVASCRIPT_RUNS else [])]
STAY_AWAY = [
    CloseCode.PROTOCOL_ERROR,
    CloseCode.INVALID_PAYLOAD,
    CloseCode.POLICY,
    CloseCode.TOO_BIG,
    CloseCode.TAKEN_OVER,
    CloseCode.UNAUTHORIZED,
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _least, _most: 0)


@pytest.mark.parametrize("play", PLAYERS)
@pytest.mark.parametrize("code", [DROPPED, *(code for code in CloseCode if code not in STAY_AWAY)])
def test_a_client_comes_back_and_resumes(play: Player, code: int, tmp_path: Path) -> None:
    service = Scripted(ending_with(code))
    assert asyncio.run(play(tmp_path, service)) == "game:1"
    enqueue, resume = service.requests
    assert enqueue["type"] == "enqueue"
    assert resume == {"type": "resume", "player_id": enqueue["player_id"], "resume_token": TOKEN}


@pytest.mark.parametrize("play", PLAYERS)
@pytest.mark.parametrize("code", STAY_AWAY)
def test_a_client_stays_away(play: Player, code: int, tmp_path: Path) -> None:
    service = Scripted(ending_with(code))
    result = asyncio.run(play(tmp_path, service))
    assert result.startswith("failed: ")
    assert str(int(code)) in result
    assert service.connections == 1


@pytest.mark.parametrize("play", PLAYERS)
def test_a_client_whose_place_is_gone_queues_anew(play: Player, tmp_path: Path) -> None:
    """Lost link, `resume`, `invalid_resume_token`, `enqueue` on the same connection."""
    seen: list[str] = []

    class Forgetful(Scripted):
        async def handle(self, link: ServerConnection) -> None:
            seen.append(json.loads(await link.recv())["type"])
            if len(seen) == 1:
                await ending_with(CloseCode.RESTARTING)(link)
                return
            refusal = {"type": "error", "code": "invalid_resume_token", "message": "the player's place is gone"}
            await link.send(json.dumps(refusal))
            await super().handle(link)

    service = Forgetful(ending_with(DROPPED))
    service.connections = 1  # its base is to let the next connection find a match
    assert asyncio.run(play(tmp_path, service)) == "game:1"
    assert [*seen, *(request["type"] for request in service.requests)] == ["enqueue", "resume", "enqueue"]


@pytest.mark.parametrize("play", PLAYERS)
def test_a_client_repeats_what_was_refused_for_now(play: Player, tmp_path: Path) -> None:
    """`server_busy`, repeated; `already_in_queue` then says that the first one took effect, and `queued` follows."""
    enqueues: list[str] = []

    async def first(link: ServerConnection) -> None:
        busy = {"type": "error", "code": "server_busy", "message": "repeat it", "retry_after_seconds": 0.01}
        known = {"type": "error", "code": "already_in_queue", "message": "in the queue", "retry_after_seconds": 0.01}
        for refusal in (busy, known):
            await link.send(json.dumps(refusal))
            enqueues.append(json.loads(await link.recv())["type"])
        await ending_with(CloseCode.RESTARTING)(link)

    assert asyncio.run(play(tmp_path, Scripted(first))) == "game:1"
    assert enqueues == ["enqueue", "enqueue"]


@pytest.mark.parametrize("play", PLAYERS)
@pytest.mark.parametrize("code", ["already_in_queue", "invalid_game_mode", "queue_paused", "unauthorized"])
def test_a_client_takes_a_refusal_for_an_answer(play: Player, code: str, tmp_path: Path) -> None:
    async def first(link: ServerConnection) -> None:
        await link.send(json.dumps({"type": "error", "code": code, "message": f"refused: {code}"}))
        await link.wait_closed()

    service = Scripted(first)
    assert f"refused: {code}" in asyncio.run(play(tmp_path, service))
    assert service.connections == 1
