"""`--workers`: real processes behind one registration, and one of them killed under its players."""

import asyncio
import os
import signal
import socket
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from dedicated_server_stub.options import FaultOptions, Options
from dedicated_server_stub.presence.interface import Presence
from dedicated_server_stub.presence.memory import MemoryPresence
from dedicated_server_stub.presence.statistics import Statistics
from dedicated_server_stub.recovery.snapshot import decode
from dedicated_server_stub.sessions import Session
from dedicated_server_stub.web import listen
from dedicated_server_stub.workers import pool
from dedicated_server_stub.workers.link import Link
from tests.shared.redis_server import RedisServer
from tests.stub.room_stub import RoomClient
from tests.stub.test_command import FakeMatchServer, control_url, stub

Frame = dict[str, Any]
KEY = {"Authorization": "Bearer s3cret"}


class Fleet:
    """A server with workers, as the match server and its players see it."""

    def __init__(self, match_server: FakeMatchServer, process: Process, http: httpx.AsyncClient) -> None:
        self.match_server = match_server
        self.process = process
        self.http = http

    async def create(self, *, again: "Played | None" = None) -> "Played":
        session_id = again.session_id if again else str(uuid.uuid4())
        body = {"session_id": session_id, "game_mode": "duel", "players": ["ann", "bob"]}
        answer = await self.http.post("/session/create", json=body)
        assert answer.status_code == (200 if again else 201), answer.text
        return Played(self, session_id, answer.json()["server_address"])

    async def pids(self) -> dict[str, int]:
        """The process behind each address, once all have said what they do."""
        while True:
            listed = (await self.http.get("/rooms")).json()["processes"]
            if len(listed) == 2:
                return {process["address"]: process["pid"] for process in listed}
            await asyncio.sleep(0.05)

    async def result_of(self, played: "Played") -> Frame | None:
        """Wait until the end of a session is reported; return the result of its game."""
        while True:
            call = await self.match_server.next("POST", "/servers/stub-1/sessions/end")
            for ended in call.body.get("sessions", ()):
                if ended["session_id"] == played.session_id:
                    result: Frame | None = ended["result"]
                    return result

    async def kill_worker_of(self, played: "Played") -> None:
        pids = await self.pids()
        os.kill(pids[played.address.partition("/play/")[0]], signal.SIGKILL)


class Played:
    """A session that has been created."""

    def __init__(self, fleet: Fleet, session_id: str, address: str) -> None:
        self.fleet = fleet
        self.session_id = session_id
        self.address = address

    @asynccontextmanager
    async def join(self, player_id: str) -> AsyncIterator[RoomClient]:
        async with connect(self.address, proxy=None, open_timeout=30) as link:
            client = RoomClient(link)
            token = self.fleet.match_server.pool.token(player_id, session_id=self.session_id)
            await client.say("join", join_token=token)
            await client.hear("welcome")
            yield client


def play(scenario: Callable[[Fleet], Awaitable[None]], *options: str) -> None:
    async def with_fleet() -> None:
        async with (
            asyncio.timeout(150),
            FakeMatchServer().running() as match_server,
            stub(match_server.url, "--workers", "2", "--session-seconds", "0", *options) as process,
            httpx.AsyncClient(base_url=await control_url(process), trust_env=False, timeout=20) as http,
        ):
            await scenario(Fleet(match_server, process, http))
            assert process.returncode is None
            process.terminate()
            await match_server.next("DELETE", "/servers/stub-1")
            assert await process.wait() == 0

    asyncio.run(with_fleet())


async def two_apart(fleet: Fleet) -> tuple[Played, Played]:
    one, other = await fleet.create(), await fleet.create()
    assert one.address.partition("/play/")[0] != other.address.partition("/play/")[0]
    return one, other


def test_workers_share_one_registration_and_operators_see_all() -> None:
    async def scenario(fleet: Fleet) -> None:
        assert (await fleet.match_server.next("POST", "/servers")).body["capacity"] == 3
        one, other = await two_apart(fleet)
        async with one.join("ann") as ann, other.join("ann") as ann_elsewhere:
            rooms: list[Frame] = []
            while len(rooms) < 2:
                rooms = (await fleet.http.get("/rooms")).json()["rooms"]
            assert {room["session_id"] for room in rooms} == {one.session_id, other.session_id}
            assert {room["process"] for room in rooms} == {"stub-1/0", "stub-1/1"}
            players_port = one.address.partition("/play/")[0].replace("ws://", "http://")
            assert (await fleet.http.get(f"{players_port}/rooms")).status_code == 404  # it is for operators
            answer = await fleet.http.post("/rooms/broadcast", json={"text": "hello"}, headers=KEY)
            assert answer.json() == {"told": 2, "failed": []}
            for client in (ann, ann_elsewhere):
                assert (await client.hear("notice"))["text"] == "hello"
            await ann.say("leave")
            assert await ann.closed() == 1000
            assert await fleet.result_of(one) == {"scores": {"ann": 0}, "winner": "ann"}
            await fleet.create()
            await fleet.create()
            full = await fleet.http.post(
                "/session/create", json={"session_id": "s", "game_mode": "duel", "players": ["ann"]}
            )
            assert full.json()["error"] == "full"
            await ann_elsewhere.say("leave")

    play(scenario, "--capacity", "3", "--drain-seconds", "0")


def test_without_presence_the_games_of_a_killed_worker_end_and_their_slots_are_free() -> None:
    async def scenario(fleet: Fleet) -> None:
        one, other = await two_apart(fleet)
        async with one.join("ann") as ann, other.join("ann") as calm, other.join("bob"):
            await fleet.kill_worker_of(one)
            assert await fleet.result_of(one) == {"reason": "crashed"}
            assert await ann.closed() == 1006
            async with connect(one.address, proxy=None, open_timeout=30) as link:  # the new one, at the same address
                assert await RoomClient(link).closed() == 4410
            again = await fleet.create()
            assert again.address.partition("/play/")[0] == one.address.partition("/play/")[0]
            async with again.join("ann"):
                assert calm.link.close_code is None
                await calm.say("ping")
                await calm.hear("pong")
            assert not [frame for frame in calm.heard if frame["type"] == "player_left"]

    play(scenario, "--capacity", "2", "--drain-seconds", "0")


def test_with_presence_the_rooms_of_a_killed_worker_go_on() -> None:
    """What was tagged, said and acknowledged is there again; the other worker notices nothing."""
    redis = RedisServer()

    async def stored_tick(session_id: str, *, at_least: int) -> int:
        """The tick of the stored snapshot, once it is that new."""
        while True:
            text = redis.do("GET", f"rooms:snapshot:{session_id}")
            tick = decode(text).world.tick if text else 0
            if tick >= at_least:
                return tick
            await asyncio.sleep(0.05)

    async def scenario(fleet: Fleet) -> None:
        one, other = await two_apart(fleet)
        async with other.join("ann") as calm, other.join("bob"):
            async with one.join("ann") as ann, one.join("bob") as bob:
                await ann.say("tag", seq=1, player_id="bob")
                tagged = await ann.hear("tagged")
                await bob.hear("tagged")
                await ann.say("ack", id=tagged["id"])
                await ann.say("chat", text="before")
                place = ann.heard[0]["players"][0]
                for seq in range(2, 42):  # two snapshots long
                    step = {"x": place["x"] + 0.01 * (seq % 2), "y": place["y"], "z": 0.0, "yaw": 0.0}
                    await ann.say("move", seq=seq, **step)
                    await ann.hear_move("ann", seq)
                last_tick = next(frame["tick"] for frame in reversed(ann.heard) if frame["type"] == "state")
                saved = await stored_tick(one.session_id, at_least=last_tick)
                await fleet.kill_worker_of(one)
                assert await ann.closed() == await bob.closed() == 1006
            async with one.join("ann") as ann, one.join("bob") as bob:
                welcome = next(frame for frame in ann.heard if frame["type"] == "welcome")
                assert welcome["tick"] >= saved
                (back,) = [player for player in welcome["players"] if player["player_id"] == "ann"]
                assert back["score"] == 1
                assert back["seq"] == 41
                assert [said["text"] for said in welcome["chat"]] == ["before"]
                assert await bob.hear("tagged") == tagged  # not acknowledged yet, so sent again, as the same
                await ann.say("tag", seq=100, player_id="bob")
                again = await ann.hear("tagged", scores={"ann": 2, "bob": 0})
                assert again["id"] > tagged["id"]
                assert await bob.hear("tagged", id=again["id"]) == again
                for client in (ann, bob):
                    await client.say("leave")
            assert await fleet.result_of(one) == {"scores": {"ann": 2, "bob": 0}, "winner": "ann"}
            assert calm.link.close_code is None
            await calm.say("ping")
            await calm.hear("pong")
            assert not [frame for frame in calm.heard if frame["type"] == "player_left"]

    with redis:
        play(scenario, "--presence", redis.url, "--drain-seconds", "0")


def test_a_create_that_is_repeated_leaves_its_room_alone() -> None:
    async def scenario(fleet: Fleet) -> None:
        played = await fleet.create()
        async with played.join("ann") as ann:
            assert (await fleet.create(again=played)).address == played.address
            async with played.join("bob") as bob:  # in a second room they would not meet
                await ann.say("tag", seq=1, player_id="bob")
                await bob.hear("tagged")
                bob.link.transport.abort()
            assert (await fleet.create(again=played)).address == played.address
            async with played.join("bob") as bob:
                assert (await bob.hear("tagged"))["scores"] == {"ann": 1, "bob": 0}  # not acknowledged yet
                for client in (ann, bob):
                    await client.say("leave")
        assert await fleet.result_of(played) == {"scores": {"ann": 1, "bob": 0}, "winner": "ann"}

    with RedisServer() as redis:
        play(scenario, "--presence", redis.url, "--drain-seconds", "0")


def test_while_redis_is_away_everybody_plays_on_and_then_rooms_are_kept_again() -> None:
    with RedisServer() as redis:

        async def scenario(fleet: Fleet) -> None:
            played = await fleet.create()
            async with played.join("ann") as ann, played.join("bob") as bob:
                await fleet.pids()
                redis.kill()
                await ann.say("tag", seq=1, player_id="bob")
                assert (await bob.hear("tagged"))["scores"] == {"ann": 1, "bob": 0}
                assert (await fleet.http.get("/rooms")).status_code == 503
                elsewhere = await fleet.create()  # a session needs no Redis
                async with elsewhere.join("ann"):
                    pass
                redis.start()
                while not redis.do("EXISTS", f"rooms:snapshot:{played.session_id}"):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
                await fleet.kill_worker_of(played)
                assert await ann.closed() == 1006
            async with played.join("ann") as ann:
                welcome = next(frame for frame in ann.heard if frame["type"] == "welcome")
                assert {player["player_id"]: player["score"] for player in welcome["players"]} == {"ann": 1, "bob": 0}

        play(scenario, "--presence", redis.url, "--drain-seconds", "0")


ONE_WORKER = Options(
    match_servers=("http://127.0.0.1:1",),
    host="127.0.0.1",
    server_id="stub-1",
    capacity=5,
    batch=True,
    session_seconds=0,
    drain_seconds=0,
    workers=1,
    faults=FaultOptions(),
)


@asynccontextmanager
async def one_worker(presence: Presence) -> AsyncIterator[pool.WorkerPool]:
    with listen("127.0.0.1", 0) as listener:
        address = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        workers = pool.WorkerPool(ONE_WORKER, [(listener, address)], presence)
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            tasks.create_task(workers.run())
            await workers.started()
            yield workers
            await workers.close(0)


async def pid_of_another(presence: Presence, *gone: int) -> int:
    """The process of the worker, once it is none of these."""
    while True:
        for process in await Statistics(presence, None).read():
            if process.pid not in gone:
                return process.pid
        await asyncio.sleep(0.05)


def test_a_worker_that_no_longer_answers_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PING_SECONDS", 0.1)
    monkeypatch.setattr(pool, "ANSWER_SECONDS", 4.0)

    async def scenario() -> None:
        presence = MemoryPresence(clock=time.monotonic)
        async with one_worker(presence):
            frozen = await pid_of_another(presence)
            os.kill(frozen, signal.SIGSTOP)
            await pid_of_another(presence, frozen)

    asyncio.run(scenario())


def test_a_worker_that_freezes_while_it_starts_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    start = pool._start
    pids: list[int] = []

    async def start_second_frozen(listener: socket.socket, link_end: socket.socket) -> Process:
        process = await start(listener, link_end)
        pids.append(process.pid)
        if len(pids) == 2:
            process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(pool, "START_SECONDS", 0.1 if len(pids) == 2 else 60.0)
        return process

    monkeypatch.setattr(pool, "_start", start_second_frozen)

    async def scenario() -> None:
        presence = MemoryPresence(clock=time.monotonic)
        async with one_worker(presence):
            first = await pid_of_another(presence)
            os.kill(first, signal.SIGKILL)
            assert await pid_of_another(presence, first) == pids[2]

    asyncio.run(scenario())


def test_a_session_that_ends_while_its_worker_starts_is_over_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    hand_over = pool.WorkerPool._hand_over

    async def hand_over_and_end(self: pool.WorkerPool, worker: Any, link: Link, session_ids: list[str]) -> None:
        await hand_over(self, worker, link, session_ids)
        if worker.link is None:  # it starts
            for session_id in session_ids:
                self.end(session_id)

    monkeypatch.setattr(pool.WorkerPool, "_hand_over", hand_over_and_end)

    async def scenario() -> None:
        presence = MemoryPresence(clock=time.monotonic)
        async with one_worker(presence) as workers:
            ended: asyncio.Queue[str] = asyncio.Queue()
            workers.report_to(over=lambda _: None, ended=lambda session_id, _: ended.put_nowait(session_id))
            await workers.prepare(Session("k", "s-1", "duel", ("ann",), None))
            assert ended.empty()
            os.kill(await pid_of_another(presence), signal.SIGKILL)
            assert await ended.get() == "s-1"
            async with connect(workers.address("s-1"), proxy=None, open_timeout=120) as link:
                assert await RoomClient(link).closed() == 4410

    asyncio.run(scenario())


def test_a_server_without_a_key_takes_no_broadcast_to_those_that_have_one() -> None:
    async def scenario(redis: RedisServer) -> None:
        async with (
            asyncio.timeout(150),
            FakeMatchServer().running() as match_server,
            stub(match_server.url, "--presence", redis.url, server_key=None) as process,
            httpx.AsyncClient(base_url=await control_url(process), trust_env=False, timeout=20) as http,
        ):
            answer = await http.post("/rooms/broadcast", json={"text": "hello"})
            assert answer.status_code == 401
            assert "--server-key" in answer.text

    with RedisServer() as redis:
        asyncio.run(scenario(redis))


async def knock_for_ever(address: str) -> None:
    while True:
        async with connect(address, proxy=None, open_timeout=30):
            await asyncio.sleep(0.05)


def test_workers_end_with_their_parent() -> None:
    async def scenario() -> None:
        async with (
            asyncio.timeout(150),
            FakeMatchServer().running() as match_server,
            stub(match_server.url, "--workers", "1") as process,
            httpx.AsyncClient(base_url=await control_url(process), trust_env=False, timeout=20) as http,
        ):
            played = await Fleet(match_server, process, http).create()
            async with played.join("ann") as ann:
                process.kill()
                assert await ann.closed() in {1006, 1012}
            with pytest.raises(OSError, match="Connect call failed"):
                await knock_for_ever(played.address)

    asyncio.run(scenario())
