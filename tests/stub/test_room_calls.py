"""Calls to rooms of other processes: carried out once, answered once, failed for good in time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from dedicated_server_stub.metrics import RoomMetrics
from dedicated_server_stub.operators import Operators
from dedicated_server_stub.presence.calls import RoomCallFailed, RoomCallRefused, RoomCalls
from dedicated_server_stub.presence.interface import Handler, Presence
from dedicated_server_stub.presence.memory import MemoryPresence
from dedicated_server_stub.presence.statistics import ProcessStatistics, RoomStatistics, Statistics
from dedicated_server_stub.rooms.commands import Called, Joined, Outcome
from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.frames import JSON
from dedicated_server_stub.rooms.methods import Calls
from dedicated_server_stub.rooms.room import Room, RoomSettings
from tests.shared.redis_server import RedisServer
from tests.stub.test_presence import over_redis
from tests.stub.test_room import taken


class LossyPresence(MemoryPresence):
    """Loses the first replies of a room, and knows its channels."""

    def __init__(self, *, lost: int) -> None:
        super().__init__(clock=time.monotonic)
        self.lost = lost
        self.subscribed: list[str] = []

    def subscribe(self, channel: str, handler: Handler) -> None:
        self.subscribed.append(channel)
        super().subscribe(channel, handler)

    async def publish(self, channel: str, message: str) -> None:
        if channel.startswith("replies:") and self.lost:
            self.lost -= 1
            return
        await super().publish(channel, message)


class TickingRoom:
    """A room with ann, whose tick runs whenever a call has come in. `calls` counts them, repeats too."""

    def __init__(self, room_id: str = "s-1") -> None:
        self.room = Room(room_id, RoomSettings(), on_over=lambda _: None, metrics=RoomMetrics(), clock=time.monotonic)
        self.ann = Connection("ann", team=None, form=JSON)
        self.room.submit(Joined(self.ann))
        self.room.tick()
        taken(self.ann)
        self.calls = 0

    def submit(self, call: Called) -> None:
        self.calls += 1
        self.room.submit(call)
        self.room.tick()

    def notices(self) -> list[str]:
        """What ann was told; it is sent again until she acknowledges it."""
        return list({frame["id"]: frame["text"] for frame in taken(self.ann) if frame["type"] == "notice"}.values())

    def statistics(self) -> ProcessStatistics:
        room = RoomStatistics(self.room.session_id, self.room.world.tick, 0.0, ["ann"], [])
        return ProcessStatistics("p", 1, "stub-1", "ws://here", 1, 0.0, 0, [room])


@asynccontextmanager
async def running(*parts: RoomCalls) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part.run()) for part in parts]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def play(scenario: Callable[[RoomCalls, TickingRoom], Awaitable[None]], *, lost: int = 0) -> None:
    async def with_room() -> None:
        calls, ticking = RoomCalls(LossyPresence(lost=lost)), TickingRoom()
        calls.serve("s-1", ticking.submit)
        async with asyncio.timeout(120), running(calls):
            await scenario(calls, ticking)

    asyncio.run(with_room())


def test_a_call_is_carried_out_and_answered() -> None:
    async def scenario(calls: RoomCalls, ticking: TickingRoom) -> None:
        assert await calls.call("s-1", "scores", {}, timeout_seconds=10) == {"ann": 0}
        assert await calls.call("s-1", "notice", {"text": "hello"}, timeout_seconds=10) is None
        assert ticking.notices() == ["hello"]

    play(scenario)


def test_a_call_whose_answers_get_lost_is_repeated_and_carried_out_once() -> None:
    async def scenario(calls: RoomCalls, ticking: TickingRoom) -> None:
        await calls.call("s-1", "notice", {"text": "once"}, timeout_seconds=3, attempts=2)
        assert ticking.calls == 2
        assert ticking.notices() == ["once"]

    play(scenario, lost=1)


def test_a_call_whose_id_was_used_is_answered_as_before() -> None:
    async def scenario(calls: RoomCalls, ticking: TickingRoom) -> None:
        for _ in range(2):
            await calls.call("s-1", "notice", {"text": "once"}, timeout_seconds=10, call_id="c")
        assert ticking.notices() == ["once"]

    play(scenario)


@pytest.mark.parametrize("lost", [0, 1_000])
def test_a_call_that_nobody_answers_fails_for_good_in_time(lost: int) -> None:
    async def scenario(calls: RoomCalls, ticking: TickingRoom) -> None:
        room_id = "s-1" if lost else "gone"
        before = time.monotonic()
        with pytest.raises(RoomCallFailed):
            await calls.call(room_id, "notice", {"text": "once"}, timeout_seconds=1, attempts=4)
        assert time.monotonic() - before >= 1
        assert ticking.calls == (4 if lost else 0)
        assert ticking.notices() == (["once"] if lost else [])

    play(scenario, lost=lost)


def test_a_call_that_comes_after_its_time_is_not_carried_out() -> None:
    ticking = TickingRoom()
    outcomes: list[Any] = []
    ticking.submit(
        Called(call_id="c", method="notice", args={"text": "late"}, expires_at=time.time() - 1, answer=outcomes.append)
    )
    assert ticking.calls == 1
    assert outcomes == []
    assert ticking.notices() == []


@pytest.mark.parametrize(
    ("method", "args"),
    [("no_such", {}), ("notice", {}), ("notice", {"text": ""}), ("notice", {"text": 1}), ("scores", {"more": 1})],
)
def test_what_a_room_does_not_do_is_refused_at_once(method: str, args: dict[str, Any]) -> None:
    async def scenario(calls: RoomCalls, ticking: TickingRoom) -> None:
        with pytest.raises(RoomCallRefused):
            await calls.call("s-1", method, args, timeout_seconds=3600)
        assert ticking.calls == 1

    play(scenario)


def test_answered_calls_are_forgotten_once_nobody_can_repeat_them() -> None:
    now = 0.0
    ticking = TickingRoom()
    ticking.room.calls = Calls({}, clock=lambda: now)

    def call(call_id: str, *, expires_at: float) -> None:
        ticking.submit(Called(call_id=call_id, method="scores", args={}, expires_at=expires_at, answer=lambda _: None))

    for number in range(20):
        call(f"{number}", expires_at=1.0)
    assert len(ticking.room.calls.answered) == 20
    now = 1.0
    call("last", expires_at=2.0)
    assert list(ticking.room.calls.answered) == ["last"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"attempt_id": 1}', "\ufffd"])
def test_a_message_that_nobody_can_read_is_dropped(text: str) -> None:
    async def scenario() -> None:
        presence = LossyPresence(lost=0)
        calls, ticking = RoomCalls(presence), TickingRoom()
        calls.serve("s-1", ticking.submit)
        failures: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        async with running(calls):
            for channel in presence.subscribed:
                await presence.publish(channel, text)
            assert await calls.call("s-1", "scores", {}, timeout_seconds=60) == {"ann": 0}
        assert ticking.calls == 1
        assert failures == []

    asyncio.run(scenario())


def test_what_a_process_of_another_version_has_written_down_is_passed_over() -> None:
    async def scenario() -> None:
        presence, ticking = MemoryPresence(clock=time.monotonic), TickingRoom()
        statistics = Statistics(presence, ticking.statistics)
        await statistics.write()
        ours = (await presence.hash_get_all("processes")).keys()
        for process, text in {"broken": "{", "newer": '{"process": 1}'}.items():
            await presence.hash_set("processes", process, "")
            await presence.set(f"process:{process}", text, seconds=60)
        assert {process.process for process in await statistics.read()} == ours == {"p"}

    asyncio.run(scenario())


def test_a_room_that_refuses_the_notice_counts_as_failed() -> None:
    async def scenario(calls: RoomCalls, ticking: TickingRoom) -> None:
        def refuse(call: Called) -> None:
            call.answer(Outcome(refused="no method 'notice'"))

        calls.serve("older", refuse)
        rooms = [RoomStatistics(room_id, 1, 0.0, ["ann"], []) for room_id in ("older", "s-1")]

        def described() -> ProcessStatistics:
            return ProcessStatistics("p", 1, "stub-1", "ws://here", 1, 0.0, 0, rooms)

        async with operators_of(MemoryPresence(clock=time.monotonic), calls, described) as client:
            answer = await client.post("/rooms/broadcast", json={"text": "hello"})
        assert answer.status_code == 200
        assert answer.json() == {"told": 1, "failed": ["older"]}
        assert ticking.notices() == ["hello"]

    play(scenario)


def test_calls_fail_in_time_where_the_room_or_redis_is_gone(prefix: str) -> None:
    async def scenario(redis: RedisServer) -> None:
        ticking = TickingRoom()
        async with over_redis(redis.url, prefix) as here, over_redis(redis.url, prefix) as there:
            ours, theirs = RoomCalls(here), RoomCalls(there)
            theirs.serve("s-1", ticking.submit)
            async with running(ours, theirs):
                assert await ours.call("s-1", "scores", {}, timeout_seconds=10) == {"ann": 0}
                theirs.stop("s-1")
                with pytest.raises(RoomCallFailed, match="nobody answers"):
                    await ours.call("s-1", "scores", {}, timeout_seconds=0.4)
                redis.kill()
                with pytest.raises(RoomCallFailed):
                    await ours.call("s-1", "scores", {}, timeout_seconds=0.4)
                redis.start()
                theirs.serve("s-1", ticking.submit)
                assert await ours.call("s-1", "scores", {}, timeout_seconds=20, attempts=40) == {"ann": 0}

    with RedisServer() as redis:
        asyncio.run(asyncio.wait_for(scenario(redis), timeout=150))


def operators_of(presence: Presence, calls: RoomCalls, describe: Any, **options: Any) -> httpx.AsyncClient:
    app = Starlette(routes=Operators(Statistics(presence, describe), calls, **options).routes())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stub")


def test_operators_of_any_process_see_and_reach_the_rooms_of_all(redis_url: str, prefix: str) -> None:
    async def scenario() -> None:
        ours, theirs = TickingRoom("s-1"), TickingRoom("s-2")
        async with (
            asyncio.timeout(120),
            over_redis(redis_url, prefix) as here,
            over_redis(redis_url, prefix) as there,
        ):
            our_calls, their_calls = RoomCalls(here), RoomCalls(there)
            our_calls.serve("s-1", ours.submit)
            their_calls.serve("s-2", theirs.submit)
            await Statistics(there, lambda: ProcessStatistics("q", 2, "stub-2", "ws://there", 1, 0.5, 9, [
                RoomStatistics("s-2", 1, 0.5, ["ann"], [])])).write()  # fmt: skip
            async with running(our_calls, their_calls), operators_of(here, our_calls, ours.statistics) as client:
                listed = (await client.get("/rooms")).json()
                assert [(room["session_id"], room["process"]) for room in listed["rooms"]] == [
                    ("s-1", "p"),
                    ("s-2", "q"),
                ]
                assert listed["processes"][1] == {
                    "process": "q",
                    "pid": 2, "server_id": "stub-2", "address": "ws://there",
                    "players": 1, "tick_lag_ms": 0.5, "sent_bytes": 9, "rooms": 1,
                }  # fmt: skip
                for _ in range(2):
                    answer = await client.post(
                        "/rooms/broadcast", json={"text": "hello"}, headers={"Idempotency-Key": "k"}
                    )
                    assert answer.json() == {"told": 2, "failed": []}
        assert ours.notices() == theirs.notices() == ["hello"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "headers", "status"),
    [
        ({"server_key": "s3cret"}, {"Authorization": "Bearer s3cret"}, 200),
        ({"server_key": "s3cret"}, {"Authorization": "Bearer other"}, 401),
        ({"server_key": "s3cret"}, {}, 401),
        ({"key_required": True}, {}, 401),
        ({}, {}, 200),
        ({}, {"Content-Type": "text/plain"}, 415),
        ({}, {"Idempotency-Key": "k" * 129}, 422),
    ],
)
def test_who_may_broadcast(options: dict[str, Any], headers: dict[str, str], status: int) -> None:
    async def scenario(calls: RoomCalls, ticking: TickingRoom) -> None:
        presence = MemoryPresence(clock=time.monotonic)
        async with operators_of(presence, calls, None, **options) as client:
            headers_sent = {"Content-Type": "application/json", **headers}
            answer = await client.post("/rooms/broadcast", content=b'{"text": "hello"}', headers=headers_sent)
            assert answer.status_code == status
            assert (
                await client.post("/rooms/broadcast", content=b'{"text": ""}', headers=headers_sent)
            ).status_code != 200

    play(scenario)
