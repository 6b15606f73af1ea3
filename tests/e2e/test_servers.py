"""Dedicated servers: heartbeats, leases, and slots that are never given twice."""

import asyncio
import json
import re
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from match_server.events.cloudevents import read_entry
from match_server.events.data import SessionEnded
from tests.shared.fake_server import Call, FakeServer, Reply, answering, register
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, Frame, Player, match_all, players_on, queue_all

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
            assert server.heartbeat() == {"end": [], "warnings": []}
            assert server.heartbeat(active_sessions=[]) == {"end": [], "warnings": []}
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


def test_many_sessions_end_in_one_call(node: Node) -> None:
    sessions = [f"s-{number}" for number in range(1000)]
    server_id = register(node, capacity=2000, active_sessions=[*sessions, "goes-on"])
    path = f"/servers/{server_id}/sessions/end"
    for _ in range(2):
        assert node.http.post(path, json={"session_ids": [*sessions[:-1], "never-was"]}).status_code == 204
        [row] = node.get("/servers")["servers"]
        assert row["active"] == 2, "the last one, and the one that goes on"
    for wrong in ({}, {"session_ids": [*sessions, "one-more"]}, {"session_ids": ["a b"]}, {"session_ids": "s-1"}):
        answer = node.http.post(path, json=wrong)
        assert answer.status_code == 422, wrong
        assert "session_ids" in answer.json()["detail"]
    assert node.http.post("/servers/nobody/sessions/end", json={"session_ids": ["s-1"]}).status_code == 404
    node.http.delete(f"/servers/{server_id}")
    ended = [line for line in node.log.splitlines() if "session_ended" in line and server_id in line]
    assert len(ended) == 1, "one line for one call, and none for sessions that had ended before"
    assert "s-998" in ended[0]
    assert "never-was" not in ended[0]


def test_results_of_sessions_are_in_the_events_of_their_ends(node: Node) -> None:
    longest = "x" * (16 * 1024 - 2)
    results: dict[str, Any] = {
        "a": {"winner": "ann", "score": [1.5, None]},
        "b": "tab\tand\nline",
        "c": longest,
        "d": None,
    }
    server_id = register(node, capacity=10, active_sessions=[*results, "e", "f"])
    base = f"/servers/{server_id}/sessions"
    assert node.http.post(f"{base}/a/end", json={"result": results["a"]}).status_code == 204
    ends = [{"session_id": session_id, "result": result} for session_id, result in results.items()]
    assert node.http.post(f"{base}/end", json={"sessions": ends, "session_ids": ["e"]}).status_code == 204

    too_long = {"result": longest + "x"}
    for path, body in ((f"{base}/f/end", too_long), (f"{base}/end", {"sessions": [{"session_id": "f", **too_long}]})):
        answer = node.http.post(path, json=body)
        assert answer.status_code == 413
        assert answer.json()["detail"].startswith("result of f: ")
    for wrong, detail in ((b"[]", "expected a JSON object"), (b"{", "not JSON"), (b'{"result": NaN}', "not JSON")):
        answer = node.http.post(f"{base}/f/end", content=wrong, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}
        assert detail in answer.json()["detail"]

    entries = node.redis.xrange(f"{node.prefix}events")
    events = [event for entry_id, fields in entries for event in read_entry(entry_id, fields["e"], source="test")]
    ended = [
        event.data for event in events if isinstance(event.data, SessionEnded) and event.data.server_id == server_id
    ]
    assert {data.session_id: data.result for data in ended} == results | {"e": None}
    assert len(ended) == 5, "each once"
    node.http.delete(f"/servers/{server_id}")


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


def test_the_older_of_two_servers_with_one_id_is_told_so(node: Node) -> None:
    server_id = register(node, incarnation="older")
    register(node, server_id=server_id, incarnation="newer", capacity=7)
    path = f"/servers/{server_id}/heartbeat"
    for _ in range(3):
        told = node.http.put(path, json={"incarnation": "older", "draining": True})
        assert told.status_code == 409
        assert f"another process has registered as {server_id}" in told.json()["detail"]
    assert node.http.put(path, json={"incarnation": "newer"}).status_code == 200
    row = node.get(f"/servers/{server_id}")
    assert (row["capacity"], row["state"]) == (7, "live"), "the older one drains nobody"
    assert re.search(rf"server_id_taken .*{server_id}", node.log)
    node.http.delete(f"/servers/{server_id}")


def test_one_server_by_its_id(node: Node) -> None:
    server_id = register(node)
    row = node.get(f"/servers/{server_id}")
    del row["lease_seconds_left"]
    [listed] = node.get("/servers")["servers"]
    del listed["lease_seconds_left"]
    assert row == listed
    assert (row["last_error"], row["last_error_at"], row["retry_in_seconds"]) == (None, None, None)
    node.http.delete(f"/servers/{server_id}")
    for unknown in (server_id, "a b"):
        answer = node.http.get(f"/servers/{unknown}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_server_that_refuses_says_why_and_when_it_is_asked_again(node: Node) -> None:
    async def refuse() -> None:
        answer = answering(Reply(503, b"no room\x1b[2J today"))
        async with FakeServer(node, answer=answer) as server, players_on(node, "ann", "bob") as players:
            before = time.time()
            await queue_all(players)
            await asyncio.gather(*(player.load() for player in players))
            await server.called(1)
            row = await asyncio.to_thread(eventually, lambda: (row := server.row())["last_error"] and row)
            assert row["last_error"] == "status 503: no room [2J today"
            assert before - 1 < row["last_error_at"] < time.time() + 1
            assert 0 < row["retry_in_seconds"] <= 5

    asyncio.run(refuse())


def test_nothing_answers_at_the_control_url(node: Node) -> None:
    url = "http://127.0.0.1:9"
    server_id = register(node, control_url=url)
    path = f"/servers/{server_id}"
    row = eventually(lambda: (row := node.get(path))["last_error"] and row)
    warning = f"nothing answers at the control_url {url}: Connection refused"
    assert row["last_error"] == warning
    assert [node.http.put(f"{path}/heartbeat", json={}).json()["warnings"] for _ in range(2)] == [[warning], []]
    eventually(lambda: re.search(rf"control_url_unreachable .*{url}.*{server_id}", node.log))
    node.http.delete(path)


def test_a_server_that_was_not_there_is_not_logged_as_removed(node: Node) -> None:
    server_id = register(node, active_sessions=["one"])
    for _ in range(2):
        node.http.delete(f"/servers/{server_id}")
    (removed,) = (line for line in node.log.splitlines() if "server_removed" in line and server_id in line)
    assert "sessions=1" in removed


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
