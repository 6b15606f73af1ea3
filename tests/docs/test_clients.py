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
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode as WebSocketsCloseCode
from websockets.typing import Subprotocol

from match_server.protocol import CloseCode
from tests.docs.markdown import marked
from tests.shared.node import Node, environment, eventually

DEFAULT_URL = "ws://127.0.0.1:8080/ws/"
NODE_JS = shutil.which("node")
TOKEN = "Normal_1v1~a-token"
REQUEST = {"player_id": "player-py", "game_mode": "Normal_1v1"}
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


def python(folder: Path, url: str, player_id: str) -> list[str]:
    """The command that runs the README's script for this player."""
    source = marked("README.md", "code: client.py")
    assert source.count(DEFAULT_URL) == 1
    script = folder / "client.py"
    script.write_text(source.replace(DEFAULT_URL, url))
    return [sys.executable, str(script), player_id]


def javascript(folder: Path, url: str, *, head: str = "", call: str = "") -> list[str]:
    """The command that runs the README's script, on its own example call or on this one."""
    assert NODE_JS
    source = marked("README.md", "code: client.js")
    assert source.count(DEFAULT_URL) == 1
    if call:
        source = source[: source.index("const player_id")] + call
    script = folder / "client.js"
    script.write_text(head + source.replace(DEFAULT_URL, url))
    return [NODE_JS, "--experimental-websocket", "--no-warnings", str(script), "player-js"]


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
    commands = [python(tmp_path, node.ws, name) for name in ("player-py", "player-py-2")]
    if JAVASCRIPT_RUNS:
        commands[1] = javascript(tmp_path, node.ws)

    async def play() -> list[tuple[int | None, str, str]]:
        return list(await asyncio.gather(*map(output_of, commands)))

    first, second = asyncio.run(play())
    assert first[0] == second[0] == 0, (first, second)
    assert first[1] == second[1]
    assert first[1].startswith("connect to ws://")


def test_a_refusal_is_one_line(tmp_path: Path, redis_url: str, prefix: str) -> None:
    with Node(tmp_path, redis_url, prefix, game_modes="Other:2") as other:
        commands = [python(tmp_path, other.ws, "player-py")]
        if JAVASCRIPT_RUNS:
            commands.append(javascript(tmp_path, other.ws))
        for command in commands:
            status, out, err = asyncio.run(output_of(command))
            assert (status, out) == (1, "")
            assert err == "game_mode: expected one of Other\n"


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


async def load_nothing(_: Any) -> None:
    return


Player = Callable[[Path, Scripted], Coroutine[Any, Any, str]]


async def play_python(_: Path, service: Scripted) -> str:
    """What became of the player: the address, or what was raised."""
    async with serve(service.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(20):
                found = await python_client()(f"ws://127.0.0.1:{port}/ws/", REQUEST, load_nothing)
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


async def in_queue(node: Node, count: int) -> None:
    """Until so many players wait, and none of those who are gone keeps its place."""
    await asyncio.to_thread(eventually, lambda: len(node.get("/players")["players"]) == count)


def test_cancelling_the_python_client_leaves_the_queue(node: Node) -> None:
    async def cancel() -> None:
        finding = asyncio.ensure_future(python_client()(node.ws, REQUEST, load_nothing))
        await in_queue(node, 1)
        finding.cancel()
        await asyncio.gather(finding, return_exceptions=True)
        await in_queue(node, 0)

    asyncio.run(cancel())


@pytest.mark.skipif(not JAVASCRIPT_RUNS, reason="needs Node.js 20 or newer on PATH")
def test_aborting_the_javascript_client_leaves_the_queue(node: Node, tmp_path: Path) -> None:
    call = f"""
    const cancel = new AbortController();
    process.stdin.once("data", () => cancel.abort(new Error("the player has cancelled")));
    findMatch("{DEFAULT_URL}", {json.dumps(REQUEST)}, async () => {{}}, {{ signal: cancel.signal }})
      .catch((error) => {{ console.log(error.message); process.stdin.destroy(); }});
    """

    async def cancel() -> None:
        pipe = asyncio.subprocess.PIPE
        command = javascript(tmp_path, node.ws, call=call)
        client = await asyncio.create_subprocess_exec(*command, env=environment({}), stdin=pipe, stdout=pipe)
        await in_queue(node, 1)
        out, _ = await client.communicate(b"x")
        assert out.decode() == "the player has cancelled\n"
        await in_queue(node, 0)

    asyncio.run(cancel())


@pytest.mark.skipif(not JAVASCRIPT_RUNS, reason="needs Node.js 20 or newer on PATH")
def test_the_javascript_client_gives_up_where_nobody_answers(tmp_path: Path) -> None:
    """Nothing listens on port 9. A browser gives no reason, so that the error names the likely ones."""
    status, _, err = asyncio.run(output_of(javascript(tmp_path, "ws://127.0.0.1:9/", head="Math.random = () => 0;\n")))
    assert status == 1
    assert "does not answer, or MATCH_ALLOWED_ORIGINS does not name this page" in err


@pytest.mark.skipif(not JAVASCRIPT_RUNS, reason="needs Node.js 20 or newer on PATH")
def test_a_level_that_does_not_load_rejects_the_javascript_client(tmp_path: Path) -> None:
    async def first(link: ServerConnection) -> None:
        await link.send(json.dumps({"type": "start_loading", "seq": 1, "loading_session_id": str(uuid.UUID(int=1))}))
        await link.wait_closed()

    async def fail_to_load() -> str:
        async with serve(Scripted(first).handle, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/"
            call = f"""
            findMatch("{url}", {json.dumps(REQUEST)}, async () => {{ throw new Error("the disk is full"); }})
              .catch((error) => console.log(error.message));
            """
            return (await output_of(javascript(tmp_path, url, call=call)))[1]

    assert asyncio.run(fail_to_load()) == "the disk is full\n"


def test_both_clients_send_what_the_request_holds_and_a_fresh_token(tmp_path: Path) -> None:
    """Attributes and parties are fields of the request; a token is made anew for each connection."""
    seen: list[Any] = []

    async def note(link: ServerConnection) -> None:
        assert link.request
        offered = link.request.headers.get("Sec-WebSocket-Protocol") or link.request.headers["Authorization"]
        seen.append([json.loads(await link.recv())["attributes"], offered])
        await link.close(CloseCode.RESTARTING if len(seen) % 2 else CloseCode.TAKEN_OVER)

    request = {**REQUEST, "attributes": {"rating": 1620}}
    call = f"""
    let made = 0;
    const makeToken = async () => `token-${{++made}}`;
    findMatch("{DEFAULT_URL}", {json.dumps(request)}, async () => {{}}, {{ makeToken }})
      .catch((error) => console.log(error.message));
    """

    async def connect_twice(url: str) -> None:
        tokens = iter(["token-1", "token-2"])

        async def make_token() -> str:
            return next(tokens)

        with pytest.raises(ConnectionClosed):
            await python_client()(url, request, load_nothing, make_token)
        if JAVASCRIPT_RUNS:
            await output_of(javascript(tmp_path, url, head="Math.random = () => 0;\n", call=call))

    def pick(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return offered[0] if offered else None

    async def play() -> None:
        async with serve(note, "127.0.0.1", 0, select_subprotocol=pick) as server:
            await connect_twice(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/")

    asyncio.run(play())
    offers = ["Bearer token-1", "Bearer token-2", "match.v1, bearer.token-1", "match.v1, bearer.token-2"]
    assert seen == [[{"rating": 1620}, offer] for offer in offers[: len(seen)]]
    assert len(seen) == (4 if JAVASCRIPT_RUNS else 2)


@pytest.mark.skipif(not JAVASCRIPT_RUNS, reason="needs Node.js 20 or newer on PATH")
def test_a_javascript_client_that_is_aborted_before_it_begins_asks_for_nothing(tmp_path: Path) -> None:
    call = f"""
    const signal = AbortSignal.abort(new Error("no"));
    findMatch("ws://127.0.0.1:9/", {json.dumps(REQUEST)}, async () => {{}}, {{ signal }})
      .catch((error) => console.log(error.message));
    """
    assert asyncio.run(output_of(javascript(tmp_path, DEFAULT_URL, call=call))) == (0, "no\n", "")
