import asyncio

from dedicated_server_stub.game import Game
from dedicated_server_stub.sessions import Placed, Refusal, SessionRegistry


def make_game(limit_seconds: float | None, ended: "asyncio.Queue[str]") -> Game:
    sessions = SessionRegistry(capacity=3, limit_seconds=limit_seconds, clock=asyncio.get_running_loop().time)
    return Game(sessions, report_end=ended.put_nowait, ends_when_left=False)


def create(game: Game, name: str) -> Placed | Refusal:
    return game.sessions.create(key=name, session_id=name, game_mode="duel", players=("ann",))


def test_sessions_end_in_time_and_are_reported_once() -> None:
    async def scenario() -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        game = make_game(0.02, ended)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(game.run())
            create(game, "a")
            create(game, "b")
            assert [await ended.get(), await ended.get()] == ["a", "b"]
            create(game, "c")
            assert await ended.get() == "c"
            game.end("c")
            assert ended.empty()
            running.cancel()

    asyncio.run(scenario())


def test_without_a_limit_there_is_nothing_to_wait_for() -> None:
    async def scenario() -> None:
        game = make_game(None, asyncio.Queue())
        await asyncio.wait_for(game.run(), timeout=5)

    asyncio.run(scenario())


def test_a_drain_refuses_new_sessions_and_waits_for_the_running_ones() -> None:
    async def scenario() -> None:
        game = make_game(None, asyncio.Queue())
        create(game, "a")
        game.start_draining()
        assert create(game, "b") is Refusal.DRAINING
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(game.drained(3600))
            game.end("a")

    asyncio.run(scenario())


def test_a_drain_ends_what_is_still_running_at_its_deadline() -> None:
    async def scenario() -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        game = make_game(None, ended)
        create(game, "a")
        create(game, "b")
        game.start_draining()
        await asyncio.wait_for(game.drained(0), timeout=5)
        assert [ended.get_nowait(), ended.get_nowait()] == ["a", "b"]

    asyncio.run(scenario())


def test_a_drain_of_an_empty_server_is_over_at_once() -> None:
    async def scenario() -> None:
        game = make_game(None, asyncio.Queue())
        create(game, "a")
        game.end("a")
        game.start_draining()
        await asyncio.wait_for(game.drained(3600), timeout=5)

    asyncio.run(scenario())
