"""Dedicated servers: heartbeats, leases, and slots that are never given twice."""

import asyncio
import json
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fake_server import Call, FakeServer, Reply, register
from tests.e2e.node import Node, eventually
from tests.e2e.player import MODE, Frame, Player, match_all, players_on, queue_all

SETTINGS = {
    "game_modes": f"{MODE}:2,Trio:3",
    "allocation_timeout_seconds": 0.5,
    "allocation_wait_seconds": 1,
    "messages_per_second": 1000,
}


# --- calls of a server ---


def test_a_heartbeat_lists_for_ending_what_the_registry_does_not_know(node: Node) -> None:
    async def beat() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as players:
            assert server.heartbeat() == {"end": []}
            assert server.heartbeat(active_sessions=[]) == {"end": []}
            await queue_all(players)
            found, _ = await match_all(players)
            orphan = str(uuid.uuid4())
            assert server.heartbeat(active_sessions=[orphan, found["session_id"]])["end"] == [orphan]
            server.end(found["session_id"])
            assert server.heartbeat(active_sessions=[found["session_id"]])["end"] == [found["session_id"]]

    asyncio.run(beat())


def test_a_heartbeat_of_an_unknown_server_is_404(node: Node) -> None:
    before = node.keys()
    for body in ({}, {"active_sessions": ["x"]}, {"draining": True}):
        answer = node.http.put("/servers/nobody/heartbeat", json=body)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert node.keys() <= before


@pytest.mark.parametrize(
    "body", [{"active_sessions": "x"}, {"active_sessions": [1]}, {"draining": "yes"}, {"draining": 1}, []]
)
def test_a_heartbeat_of_wrong_form_is_422(node: Node, body: Any) -> None:
    server_id = register(node)
    answer = node.http.put(f"/servers/{server_id}/heartbeat", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    node.http.delete(f"/servers/{server_id}")


def test_a_heartbeat_that_is_not_json_is_400(node: Node) -> None:
    server_id = register(node)
    for body in (b"x", b"{", b"\xff"):
        assert node.http.put(f"/servers/{server_id}/heartbeat", content=body).status_code == 400
    node.http.delete(f"/servers/{server_id}")


def test_leaving_is_204_for_a_known_and_an_unknown_server(node: Node) -> None:
    server_id = register(node)
    for _ in range(2):
        answer = node.http.delete(f"/servers/{server_id}")
        assert answer.status_code == 204
        assert answer.content == b""
    assert node.http.delete("/servers/never-was").status_code == 204
    assert node.get("/servers") == {"servers": []}
    assert node.http.put(f"/servers/{server_id}/heartbeat", json={}).status_code == 404


def test_the_end_of_a_session_is_idempotent_and_404_for_an_unknown_server(node: Node) -> None:
    async def end() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            found, _ = await match_all(players)
            assert server.row()["active"] == 1
            for _ in range(3):
                server.end(found["session_id"])
                assert server.row()["active"] == 0
            server.end(str(uuid.uuid4()))  # no session of this name
            assert server.row()["active"] == 0
            answer = node.http.post(f"/servers/nobody/sessions/{found['session_id']}/end")
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/problem+json"

    asyncio.run(end())


def test_a_new_incarnation_voids_the_sessions_of_the_old_one(node: Node) -> None:
    async def restart() -> None:
        async with (
            FakeServer(node, capacity=1, incarnation="one") as server,
            players_on(node, "ann", "bob", "cleo", "dan") as players,
        ):
            await queue_all(players[:2])
            found, _ = await match_all(players[:2])
            server.register()
            assert server.row()["active"] == 1, "the same incarnation again changes nothing"
            await queue_all(players[2:])
            await players[2].nothing(for_seconds=0.3)
            server.register(incarnation="two")
            server.live.clear()
            await match_all(players[2:])
            assert server.row()["active"] == 1
            server.end(found["session_id"])  # a late word about the old one frees nothing
            assert server.row()["active"] == 1

    asyncio.run(restart())


def test_the_sessions_that_a_server_registers_with_count(node: Node) -> None:
    server_id = register(node, capacity=3, active_sessions=["one", "two"], incarnation="i")
    [row] = node.get("/servers")["servers"]
    assert row["active"] == 2
    beat = node.http.put(f"/servers/{server_id}/heartbeat", json={"active_sessions": ["one", "two"]})
    assert beat.json()["end"] == []
    assert node.http.post(f"/servers/{server_id}/sessions/one/end").status_code == 204
    [row] = node.get("/servers")["servers"]
    assert row["active"] == 1
    node.http.delete(f"/servers/{server_id}")


# --- slots ---


def test_ten_players_on_two_slots_all_get_their_match_as_sessions_end(node: Node) -> None:
    async def fill() -> None:
        async with (
            FakeServer(node, capacity=2) as server,
            players_on(node, *(f"p{n}" for n in range(10))) as players,
        ):
            loading = 0

            async def walk(player: Player) -> Frame:
                await player.queue()
                await player.load()
                return await player.expect("match_found", within_seconds=20)

            walks = [asyncio.create_task(walk(player)) for player in players]
            for ended in range(5):
                await server.called(min(5, ended + 1))
                row = await asyncio.to_thread(eventually, lambda: (row := server.row())["active"] and row)
                assert row["active"] + row["reserved"] <= 2
                queue = node.queue()
                loading = max(loading, queue["loading"] + queue["allocating"])
                assert loading <= 4, "no more matches form than there are slots"
                session_id = min(server.live)
                server.end(session_id)
            found = await asyncio.gather(*walks)
            assert len({frame["session_id"] for frame in found}) == 5
            assert len(server.calls) == 5
            assert server.most_live <= 2

    asyncio.run(fill())


def test_without_any_server_nobody_is_told_to_load(node: Node) -> None:
    async def wait() -> None:
        async with players_on(node, "ann", "bob") as players:
            await queue_all(players)
            await players[0].nothing(for_seconds=0.5)  # five periods of TryMatch
            await players[1].nothing()
            assert node.queue()["waiting"] == 2
            async with FakeServer(node):
                await match_all(players)

    asyncio.run(wait())


def test_the_least_loaded_server_is_chosen(node: Node) -> None:
    async def spread() -> None:
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(FakeServer(node, capacity=10)) for _ in range(3)]
            players = await stack.enter_async_context(players_on(node, "ann", "bob"))
            for _ in range(9):
                await queue_all(players)
                await match_all(players)
            assert [len(server.live) for server in servers] == [3, 3, 3]

    asyncio.run(spread())


def test_a_server_for_another_mode_is_not_asked(node: Node) -> None:
    async def choose() -> None:
        async with FakeServer(node, game_modes=["Trio"]) as trio, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            await players[0].nothing(for_seconds=0.3)
            async with FakeServer(node, game_modes=[MODE, "Trio"]) as both:
                await match_all(players)
                assert (len(trio.calls), len(both.calls)) == (0, 1)

    asyncio.run(choose())


def test_a_draining_server_gets_no_new_session(node: Node) -> None:
    async def drain() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob", "cleo", "dan") as players:
            await queue_all(players[:2])
            found, _ = await match_all(players[:2])
            assert server.heartbeat(draining=True, active_sessions=[found["session_id"]])["end"] == []
            assert server.row()["state"] == "draining"
            await queue_all(players[2:])
            await players[2].nothing(for_seconds=0.3)
            async with FakeServer(node) as other:
                await match_all(players[2:])
                assert (len(server.calls), len(other.calls)) == (1, 1)

    asyncio.run(drain())


def test_a_server_that_left_gets_no_new_session(node: Node) -> None:
    async def leave() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as players:
            node.http.delete(f"/servers/{server.server_id}")
            await queue_all(players)
            await players[0].nothing(for_seconds=0.3)
            assert server.calls == []

    asyncio.run(leave())


def test_a_server_whose_lease_ended_gets_no_session_and_its_slots_are_void(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    async def lapse(node: Node) -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            await match_all(players)
            eventually(lambda: (server.row() or {"state": "gone"})["state"] not in {"live", "draining"})
            await queue_all(players)
            await players[0].nothing(for_seconds=0.3)
            assert len(server.calls) == 1
            answer = node.http.put(f"/servers/{server.server_id}/heartbeat", json={})
            assert answer.status_code in {200, 404}
            server.register(incarnation="next")
            await match_all(players)
            assert server.row()["active"] == 1

    with Node(tmp_path, redis_url, prefix, server_lease_seconds=1) as node:
        asyncio.run(lapse(node))


def test_a_session_that_nobody_ends_is_bounded_by_its_longest_time(node: Node) -> None:
    async def outlast() -> None:
        async with (
            FakeServer(node, capacity=1, max_session_seconds=1) as server,
            players_on(node, "ann", "bob", "cleo", "dan") as players,
        ):
            await queue_all(players[:2])
            await match_all(players[:2])
            assert server.row()["active"] == 1
            await queue_all(players[2:])
            await match_all(players[2:])

    asyncio.run(outlast())


def test_an_end_that_overtakes_the_answer_leaves_no_slot_taken(node: Node) -> None:
    async def overtake() -> None:
        async def end_first(call: Call) -> Reply | None:
            reply = await server.accept(call)
            await asyncio.to_thread(server.end, call.body["session_id"])
            return reply

        server = FakeServer(node, capacity=1, answer=end_first)
        async with server, players_on(node, "ann", "bob") as players:
            for _ in range(2):
                await queue_all(players)
                await match_all(players)
                row = server.row()
                assert (row["active"], row["reserved"]) == (0, 0)

    asyncio.run(overtake())


def test_two_nodes_never_give_a_slot_twice(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def storm(one: Node, two: Node) -> None:
        names = [f"p{n}" for n in range(30)]
        async with (
            FakeServer(one, capacity=3) as server,
            players_on(one, *names) as some,
            players_on(two, *names) as others,
        ):
            everybody = [*some, *others]

            async def walk(player: Player) -> Frame:
                await player.queue()
                await player.load()
                return await player.expect("match_found", within_seconds=30)

            async def end_sessions() -> None:
                ended = 0
                while ended < 30:
                    await server.called(ended + 1, within_seconds=20)
                    rows = await asyncio.to_thread(eventually, lambda: server.row()["active"])
                    assert rows <= 3
                    server.end(min(server.live))
                    ended += 1

            found, _ = await asyncio.gather(asyncio.gather(*map(walk, everybody)), end_sessions())
            assert len({frame["session_id"] for frame in found}) == 30
            assert server.most_live <= 3
            assert json.dumps(server.row())

    with Node(tmp_path, redis_url, prefix) as one, Node(tmp_path, redis_url, prefix) as two:
        asyncio.run(storm(one, two))
