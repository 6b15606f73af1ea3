import asyncio

from dedicated_server_stub.hosting import Host
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import RoomSettings
from dedicated_server_stub.sessions import Placed, Refusal, SessionRegistry


def make_host(limit_seconds: float | None, ended: "asyncio.Queue[str]") -> Host:
    sessions = SessionRegistry(capacity=3, limit_seconds=limit_seconds, clock=asyncio.get_running_loop().time)
    return Host(sessions, Rooms(RoomSettings()), report_end=lambda session_id, _result: ended.put_nowait(session_id))


def create(host: Host, name: str) -> Placed | Refusal:
    return host.sessions.create(key=name, session_id=name, game_mode="duel", players=("ann",))


def test_sessions_end_in_time_and_are_reported_once() -> None:
    async def scenario() -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        host = make_host(0.02, ended)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(host.run())
            create(host, "a")
            create(host, "b")
            assert [await ended.get(), await ended.get()] == ["a", "b"]
            create(host, "c")
            assert await ended.get() == "c"
            host.end("c")
            assert ended.empty()
            running.cancel()

    asyncio.run(scenario())


def test_without_a_limit_there_is_nothing_to_wait_for() -> None:
    async def scenario() -> None:
        host = make_host(None, asyncio.Queue())
        await asyncio.wait_for(host.run(), timeout=5)

    asyncio.run(scenario())


def test_a_drain_refuses_new_sessions_and_waits_for_the_running_ones() -> None:
    async def scenario() -> None:
        host = make_host(None, asyncio.Queue())
        create(host, "a")
        host.start_draining()
        assert create(host, "b") is Refusal.DRAINING
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(host.drained(3600))
            host.end("a")

    asyncio.run(scenario())


def test_a_drain_ends_what_is_still_running_at_its_deadline() -> None:
    async def scenario() -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        host = make_host(None, ended)
        create(host, "a")
        create(host, "b")
        host.start_draining()
        await asyncio.wait_for(host.drained(0), timeout=5)
        assert [ended.get_nowait(), ended.get_nowait()] == ["a", "b"]

    asyncio.run(scenario())


def test_a_drain_of_an_empty_server_is_over_at_once() -> None:
    async def scenario() -> None:
        host = make_host(None, asyncio.Queue())
        create(host, "a")
        host.end("a")
        host.start_draining()
        await asyncio.wait_for(host.drained(3600), timeout=5)

    asyncio.run(scenario())
