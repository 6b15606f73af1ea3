"""Placing a session: what happens when a dedicated server says no, says nothing, or says too much."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_server import Answer, Call, FakeServer, Reply, after, answering, hang, register
from tests.shared.node import Node
from tests.shared.player import MODE, Player, match_all, players_on, queue_all

SETTINGS = {
    "game_modes": f"{MODE}:2,Trio:3",
    "allocation_timeout_seconds": 0.5,
    "allocation_wait_seconds": 1,
    "messages_per_second": 1000,
}


Scene = Callable[[FakeServer, FakeServer, list[Player]], Awaitable[None]]


async def _with_a_bad_server(node: Node, answer: Answer, scene: Scene) -> None:
    """The bad one alone takes the match, and answers once the good one is there: else the match might be given up."""
    good_is_there = asyncio.Event()
    async with AsyncExitStack() as stack:
        players = await stack.enter_async_context(players_on(node, "ann", "bob"))
        bad = await stack.enter_async_context(FakeServer(node, answer=after(good_is_there, answer)))
        await queue_all(players)
        for player in players:
            await player.load()
        await bad.called(1)
        good = await stack.enter_async_context(FakeServer(node))
        good_is_there.set()
        await scene(bad, good, players)


async def _found_after_all(node: Node, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> None:
    """The first server asked answers in a way of its own; the players find their match on the next one."""
    asked = asyncio.Event()
    good_is_there = asyncio.Event()

    async def serve_once_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await good_is_there.wait()  # with one server alone, an answer that cannot be read ends the match
        await serve(reader, writer)

    listener = await asyncio.start_server(serve_once_asked, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with players_on(node, "ann", "bob") as players:
        server_id = register(node, control_url=f"http://127.0.0.1:{port}")
        await queue_all(players)
        for player in players:
            await player.load()
        await asked.wait()  # or the next one may be there before they have loaded
        async with FakeServer(node) as good:
            good_is_there.set()
            for player in players:
                await player.expect("match_found", server_address=good.address, within_seconds=5)
        node.http.delete(f"/servers/{server_id}")
    listener.close()


SESSION = {"session_id": "s", "server_address": "a"}
BAD_ANSWERS: dict[str, Reply] = {
    "full": Reply(503, {"error": "full"}),
    "conflict": Reply(409, {"error": "draining"}),
    "a-bug": Reply(500, b"KeyError: 'players'"),
    "not-found": Reply(404, {}),
    "no-content": Reply(204, b""),
    "accepted": Reply(202, SESSION),
    "no-json": Reply(200, b"<html>"),
    "no-utf8": Reply(200, b"\xff\xfe\xff"),
    "no-object": Reply(200, ["s", "a"]),
    "no-session": Reply(200, {"server_address": "a"}),
    "null-session": Reply(200, {"session_id": None, "server_address": "a"}),
    "number-session": Reply(200, {"session_id": 7, "server_address": "a"}),
    "empty-address": Reply(200, {"session_id": "s", "server_address": ""}),
    "deep-json": Reply(200, b"[" * 60_000),
    "huge": Reply(200, {**SESSION, "pad": "x" * 70_000}),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_server_that_gives_no_session_leads_to_another_server(node: Node, name: str) -> None:
    async def scene(bad: FakeServer, good: FakeServer, players: list[Player]) -> None:
        for player in players:
            await player.expect("match_found", server_address=good.address)
        assert len(good.calls) == 1
        assert good.calls[0].key == bad.calls[0].key
        if BAD_ANSWERS[name].status in {409, 503}:
            assert len(bad.calls) == 1, "after a refusal it is not asked again"
        assert len(bad.calls) <= 2

    asyncio.run(_with_a_bad_server(node, answering(BAD_ANSWERS[name]), scene))


def test_without_an_address_in_the_answer_players_get_the_registered_one(node: Node) -> None:
    async def scene() -> None:
        answer = answering(Reply(200, {"session_id": "s"}))
        async with FakeServer(node, answer=answer) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            for frame in await match_all(players):
                assert (frame["session_id"], frame["server_address"]) == ("s", server.address)

    asyncio.run(scene())


@pytest.mark.parametrize("how", ["hang", "break"])
def test_after_a_lost_answer_the_same_server_is_asked_once_more_with_the_same_key(node: Node, how: str) -> None:
    async def scene(bad: FakeServer, good: FakeServer, players: list[Player]) -> None:
        for player in players:
            await player.expect("match_found", server_address=good.address)
        assert len(bad.calls) == 2
        assert bad.calls[0].key == bad.calls[1].key == good.calls[0].key
        assert bad.calls[0].body == bad.calls[1].body

    asyncio.run(_with_a_bad_server(node, hang if how == "hang" else answering(None), scene))


def test_a_lost_answer_that_comes_at_the_second_time_is_taken(node: Node) -> None:
    async def journey() -> None:
        async def forget_the_first(call: Call) -> Reply | None:
            reply = await server.accept(call)
            return reply if len(server.calls) > 1 else None

        server = FakeServer(node, answer=forget_the_first)
        async with server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            found = await match_all(players)
            assert {frame["session_id"] for frame in found} == server.live
            assert len({call.key for call in server.calls}) == 1
            assert len(server.calls) == 2
            assert server.row()["active"] == 1
            assert server.row()["reserved"] == 0

    asyncio.run(journey())


@pytest.mark.parametrize("first", ["break", "a-bug", "no-json", "empty", "nobody-knows-it"])
def test_a_lost_answer_to_a_batch_makes_every_item_unknown_and_each_gets_its_session(node: Node, first: str) -> None:
    answers = {
        "a-bug": Reply(500, {}),
        "no-json": Reply(200, b"<html>"),
        "empty": Reply(200, {"sessions": []}),
        "nobody-knows-it": Reply(200, {"sessions": [{"idempotency_key": str(uuid.uuid4()), **SESSION}, None, 7]}),
    }

    async def journey() -> None:
        async def fail_the_first(call: Call) -> Reply | None:
            return answers.get(first) if len(bad.calls) == 1 else await bad.accept(call)

        bad = FakeServer(node, batch=True, answer=fail_the_first)
        async with bad, players_on(node, *(f"p{n}" for n in range(8))) as players:
            await queue_all(players)
            async with FakeServer(node) as good:
                found = await match_all(players)
                by_key = {frame["loading_session_id"]: frame for frame in found}
                assert len(by_key) == len({frame["session_id"] for frame in found}) == 4
                for frame in found:
                    assert frame["server_address"] in {bad.address, good.address}
                assert not node.keys("loading:*")

    asyncio.run(journey())


def test_an_orphan_of_a_lost_answer_is_listed_for_ending(node: Node) -> None:
    async def scene(bad: FakeServer, good: FakeServer, players: list[Player]) -> None:
        for player in players:
            await player.expect("match_found", server_address=good.address)
        orphan = bad.calls[0].body["session_id"]
        row = bad.row()
        assert row["active"] + row["reserved"] >= 1, "unknown is a state: the slot is not free yet"
        assert bad.heartbeat(active_sessions=[orphan])["end"] == [orphan]

    asyncio.run(_with_a_bad_server(node, hang, scene))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(node: Node, status: int) -> None:
    async def journey() -> None:
        async with FakeServer(node) as inner:
            node.http.delete(f"/servers/{inner.server_id}")  # not for the match server to call
            where = f"{inner.control_url}/session/create"
            await _with_a_bad_server(node, answering(Reply(status, SESSION, {"Location": where})), scene)
            assert inner.calls == []

    async def scene(_: FakeServer, good: FakeServer, players: list[Player]) -> None:
        for player in players:
            await player.expect("match_found", server_address=good.address)

    asyncio.run(journey())


def test_an_answer_that_drips_ends_at_the_deadline(node: Node) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            for _ in range(600):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    asyncio.run(_found_after_all(node, drip))


def test_an_answer_of_200_mb_is_cut_off(node: Node) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while sent < 200_000_000:
                writer.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
                await writer.drain()
                sent += 0x100000
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            cut_off.put_nowait(sent)
            writer.transport.abort()

    cut_off: asyncio.Queue[int] = asyncio.Queue()

    async def journey() -> None:
        await _found_after_all(node, flood)
        async with asyncio.timeout(10):
            assert await cut_off.get() < 20_000_000

    asyncio.run(journey())


@pytest.mark.parametrize("status", [409, 500, 503])
def test_when_every_server_says_no_the_players_are_put_back_in_front(
    redis_url: str, prefix: str, tmp_path: Path, status: int
) -> None:
    async def refuse(node: Node) -> None:
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(FakeServer(node, answer=answering(Reply(status, {})))) for _ in range(2)
            ]
            players = await stack.enter_async_context(players_on(node, "ann", "bob"))
            await queue_all(players)
            starts = [await player.load() for player in players]
            for player in players:
                await player.expect(
                    "match_cancelled",
                    reason="allocation_failed",
                    requeued=True,
                    loading_session_id=starts[0]["loading_session_id"],
                )
                await player.expect("queued", requeued=True)
            assert [len(server.calls) for server in servers] == [1, 1]
            assert not node.keys("loading:*")
            await players[0].nothing(for_seconds=0.3)  # no storm: nothing forms while every slot counts as taken
            assert node.queue()["waiting"] == 2
            async with FakeServer(node):
                await match_all(players)

    settings: dict[str, Any] = {"allocation_attempts": 2, "allocation_wait_seconds": 0.5}
    with Node(tmp_path, redis_url, prefix, **settings) as node:
        asyncio.run(refuse(node))


def test_a_path_in_the_control_url_is_kept_and_the_proxy_of_the_environment_is_not_used(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    async def journey(node: Node) -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as players:
            server.register(control_url=f"{server.control_url}/games/one/")
            await queue_all(players)
            await match_all(players)
            assert [call.path for call in server.calls] == ["/games/one/session/create"]

    nowhere = "http://127.0.0.1:9"
    variables = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"), nowhere)
    with Node(tmp_path, redis_url, prefix, variables=variables) as node:
        asyncio.run(journey(node))
