"""The installed command as a process, against a fake match server."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import connect

from dedicated_server_stub.web import WebServer, listen, web_config
from tests.stub.room_stub import Pool, RoomClient

COMMAND = str(Path(sys.executable).with_name("dedicated-server-stub"))
S1 = "11111111-0000-4000-8000-000000000000"
BODY = {"session_id": S1, "game_mode": "duel", "players": ["ann", "bob"]}


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    authorization: str | None
    body: Any


class FakeMatchServer:
    """Takes every call of a dedicated server, records it, and answers by the contract."""

    def __init__(self, *, heartbeat_seconds: float = 0.05, refuse: int | None = None) -> None:
        self.url = ""
        self._heartbeat_seconds = heartbeat_seconds
        self._refuse = refuse
        self.pool = Pool()
        self._calls: asyncio.Queue[Call] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeMatchServer"]:
        with listen("127.0.0.1", 0) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            routes = [
                Route("/.well-known/jwks.json", self._keys),
                Route("/{path:path}", self._take, methods=["POST", "PUT", "DELETE"]),
            ]
            web = WebServer(web_config(Starlette(routes=routes)))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(web.serve(sockets=[listener]))
                yield self
                web.should_exit = True

    async def next(self, method: str, path_end: str) -> Call:
        """Wait for the next call of that kind; the ones before it are passed over."""
        async with asyncio.timeout(20):
            while True:
                call = await self._calls.get()
                if call.method == method and call.path.endswith(path_end):
                    return call

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse(await self.pool.publish())

    async def _take(self, request: Request) -> Response:
        body = await request.json() if await request.body() else None
        self._calls.put_nowait(Call(request.method, request.url.path, request.headers.get("authorization"), body))
        if request.method == "PUT":
            return JSONResponse({"end": []})
        if body is not None and request.url.path == "/servers":
            if self._refuse is not None:
                return JSONResponse({"detail": "control_url: not ours"}, status_code=self._refuse)
            answer = {
                "server_id": body["server_id"],
                "heartbeat_seconds": self._heartbeat_seconds,
                "lease_seconds": 15,
            }
            return JSONResponse(answer, status_code=201)
        return Response(status_code=204)


@asynccontextmanager
async def stub(url: str, *options: str, server_key: str | None = "s3cret") -> AsyncIterator[Process]:
    """Run the command; one that is still there at the end is killed."""
    environment = {name: value for name, value in os.environ.items() if name != "MATCH_SERVER_KEY"}
    if server_key is not None:
        environment["MATCH_SERVER_KEY"] = server_key
    process = await asyncio.create_subprocess_exec(
        COMMAND, "--match-server", url, "--server-id", "stub-1", *options, stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def control_url(process: Process) -> str:
    """Wait for the readiness line; return where the server listens."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    match = re.fullmatch(r"dedicated-server-stub stub-1 ready on (http://127\.0\.0\.1:\d+)\n", line)
    assert match, line
    return match[1]


def run(scenario: Callable[[FakeMatchServer], Awaitable[None]], **options: Any) -> None:
    async def with_match_server() -> None:
        async with asyncio.timeout(40), FakeMatchServer(**options).running() as match_server:
            await scenario(match_server)

    asyncio.run(with_match_server())


def test_a_session_from_registration_to_its_end() -> None:
    async def scenario(match_server: FakeMatchServer) -> None:
        options = ("--session-seconds", "0.2", "--capacity", "3", "--region", "eu", "--game-mode", "duel")
        async with stub(match_server.url, *options) as process:
            url = await control_url(process)
            registered = await match_server.next("POST", "/servers")
            assert registered.authorization == "Bearer s3cret"
            assert registered.body.pop("incarnation")
            assert registered.body == {
                "server_id": "stub-1",
                "control_url": url,
                "address": url.replace("http", "ws"),
                "capacity": 3,
                "batch": True,
                "game_modes": ["duel"],
                "region": "eu",
                "active_sessions": [],
            }
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                answer = await client.post("/session/create", json=BODY)
            assert answer.status_code == 201
            async with connect(answer.json()["server_address"], proxy=None) as link:
                ann = RoomClient(link)
                await ann.say("join", join_token=match_server.pool.token("ann", session_id=S1))
                await ann.hear("welcome")
                ended = await ann.hear("ended")
                await ann.say("ack", id=ended["id"])
                assert await ann.closed() == 1000
            call = await match_server.next("POST", "/servers/stub-1/sessions/end")
            assert call.body == {"sessions": [{"session_id": S1, "result": {"scores": {"ann": 0}, "winner": "ann"}}]}

            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                answer = await client.post("/session/create", json={**BODY, "session_id": "nobody-joins"})
            call = await match_server.next("POST", "/servers/stub-1/sessions/end")
            assert call.body == {"session_ids": ["nobody-joins"]}

            process.send_signal(signal.SIGINT)
            await match_server.next("DELETE", "/servers/stub-1")
            assert await process.wait() == 0

    run(scenario)


def test_sigterm_drains() -> None:
    async def scenario(match_server: FakeMatchServer) -> None:
        async with stub(match_server.url, "--session-seconds", "0", "--log-format", "json") as process:
            url = await control_url(process)
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                server_address = (await client.post("/session/create", json=BODY)).json()["server_address"]
                async with connect(server_address, proxy=None) as link:
                    ann = RoomClient(link)
                    await ann.say("join", join_token=match_server.pool.token("ann", session_id=S1))
                    await ann.hear("welcome")
                    process.terminate()
                    while not (await match_server.next("PUT", "/heartbeat")).body["draining"]:
                        pass
                    refused = await client.post("/session/create", json={**BODY, "session_id": "s-2"})
                    assert refused.json()["error"] == "draining"
            # ann has left, which ends the session and so the drain
            await match_server.next("POST", "/sessions/end")
            await match_server.next("DELETE", "/servers/stub-1")
            assert await process.wait() == 0
            assert process.stderr is not None
            log = (await process.stderr.read()).decode()
            assert '"event": "draining"' in log
            assert "s3cret" not in log
            assert "Traceback" not in log

    run(scenario)


def test_a_second_signal_stops_at_once() -> None:
    async def scenario(match_server: FakeMatchServer) -> None:
        options = ("--session-seconds", "3600", "--drain-seconds", "3600", "--hang-rate", "1")
        async with stub(match_server.url, *options) as process:
            url = await control_url(process)
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                async with asyncio.TaskGroup() as tasks:
                    hung = tasks.create_task(client.post("/session/create", json=BODY))
                    while S1 not in (await match_server.next("PUT", "/heartbeat")).body["active_sessions"]:
                        pass
                    process.terminate()
                    while not (await match_server.next("PUT", "/heartbeat")).body["draining"]:
                        pass
                    process.terminate()
                assert hung.result().status_code == 201  # a hung call is let go
            assert await process.wait() == 0

    run(scenario)


def test_a_stop_before_the_match_server_is_up_is_clean() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(40), stub("http://127.0.0.1:1", "--log-format", "json") as process:
            assert process.stderr is not None
            assert b"match_server_unavailable" in await process.stderr.readline()
            process.terminate()
            assert await process.wait() == 0

    asyncio.run(scenario())


def test_a_refused_registration_is_one_line_and_status_1() -> None:
    async def scenario(match_server: FakeMatchServer) -> None:
        async with stub(match_server.url) as process:
            out, err = await process.communicate()
            assert process.returncode == 1
            assert out == b""
            assert err.decode() == "dedicated-server-stub: registration refused, 422: control_url: not ours\n"

    run(scenario, refuse=422)


def test_a_wrong_option_is_one_line_and_status_2() -> None:
    done = subprocess.run([COMMAND, "--capacity", "0"], capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "--capacity" in done.stderr


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dedicated_server_stub", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "Examples:" in done.stdout
    assert "--drain-seconds" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_ends_an_idle_server_with_status_0(number: signal.Signals) -> None:
    async def scenario(match_server: FakeMatchServer) -> None:
        async with stub(match_server.url) as process:
            await control_url(process)
            process.send_signal(number)
            assert await process.wait() == 0

    run(scenario)
