"""What operators list: players, nodes, and why a queue does not move."""

import asyncio
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, player_on, players_on, queue_all

SETTINGS: dict[str, Any] = {"game_modes": f"{MODE}:2,Trio:3", "reconnect_grace_seconds": 30}


def listed(node: Node, **query: Any) -> list[str]:
    """The players of all pages."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = node.get("/players", params=query | ({"cursor": cursor} if cursor else {}))
        found += [player["player_id"] for player in page["players"]]
        cursor = page["next"]
        if not cursor:
            return found


def test_players_are_listed_by_state_longest_first_in_pages(node: Node) -> None:
    async def story() -> None:
        names = ("ann", "bob", "cid", "dan", "eve", "fay")
        async with players_on(node, *names) as players, FakeServer(node, capacity=1):
            ann, bob, cid, dan, eve, fay = players
            await queue_all([ann, bob])
            await ann.expect("start_loading")
            await bob.expect("start_loading")  # which takes the only slot
            await queue_all([cid, dan, eve])
            await fay.queue("Trio")
            await dan.drop()
            eventually(lambda: node.queue()["held"] == 1)

            ids = [player.player_id for player in players]
            assert listed(node, game_mode=MODE, state="queued") == [ids[2], ids[4]]
            assert listed(node, state="held") == [ids[3]]
            assert sorted(listed(node, state="loading")) == sorted(ids[:2])
            assert listed(node, state="allocating") == []
            assert listed(node, game_mode="Trio") == [ids[5]]
            for limit in (1, 2, 3, 100):
                assert sorted(listed(node, limit=limit)) == sorted(ids)
            (row,) = node.get("/players", params={"game_mode": "Trio"})["players"]
            assert (row["state"], row["game_mode"], row["held"], row["loading_session_id"]) == (
                "queued",
                "Trio",
                False,
                None,
            )
            assert 0 <= row["waited_seconds"] < 60
            assert row["node"] == node.get(f"/players/{ids[5]}")["node"]
            await dan.link.wait_closed()
            async with player_on(node, dan.player_id) as back:
                await back.resume(dan.frames[0]["resume_token"])
                await back.expect("resumed")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ({"state": "lost"}, 422, "state"),
        ({"gamemode": "Trio"}, 422, "gamemode: no such parameter; expected game_mode, state, limit, cursor, pool"),
        ({"game_mode": "nope"}, 404, "game mode"),
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "501"}, 422, "limit"),
        ({"limit": "x"}, 422, "limit"),
        ({"cursor": "x"}, 422, "cursor"),
        ({"cursor": "W10"}, 422, "cursor"),
        ({"cursor": "WyJ4Iiwid2FpdGluZyIsIiIsIiIsMF0"}, 422, "cursor"),
    ],
)
def test_a_wrong_query_names_what_was_expected(node: Node, query: dict[str, str], status: int, named: str) -> None:
    answer = node.http.get("/players", params=query)
    assert answer.status_code == status
    assert named in answer.json()["detail"]


@pytest.mark.parametrize("path", ["queues", "queues/Trio", "servers", "servers/x", "nodes", "players/x"])
def test_a_query_that_a_call_does_not_take_is_refused(node: Node, path: str) -> None:
    answer = node.http.get(f"/{path}", params={"mode": "Trio"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "mode: no such parameter; expected pool")


def test_nodes_say_what_they_are(node: Node) -> None:
    async def story() -> None:
        async with players_on(node, "ann") as (ann,):
            await ann.queue("Trio")
            row = eventually(lambda: next((row for row in node.get("/nodes")["nodes"] if row["connections"]), None))
            assert row["address"] == f"127.0.0.1:{node.port}"
            assert row["state"] == "ready"
            assert row["players"] == 1
            assert row["version"]
            assert row["started_at"].startswith("20")
            assert len(row["modes_hash"]) == 12
            assert row["node"] == node.get(f"/players/{ann.player_id}")["node"]

    asyncio.run(story())


def test_a_queue_says_what_it_waits_for(node: Node) -> None:
    def blocked() -> Any:
        return node.queue()["blocked_by"]

    async def story() -> None:
        assert blocked() is None
        async with players_on(node, "ann", "bob", "cid", "dan") as (ann, bob, cid, dan):
            await ann.queue()
            assert blocked() == "too_few_players"
            await bob.queue()
            assert blocked() == "no_server_for_mode"
            async with FakeServer(node, capacity=5, game_modes=["Trio"]):
                assert blocked() == "no_server_for_mode"
            node.http.post(f"/queues/{MODE}/pause")
            assert blocked() == "paused"
            node.http.post(f"/queues/{MODE}/resume")
            assert "queue_paused" in node.log
            assert "queue_resumed" in node.log
            async with FakeServer(node, capacity=1):
                await ann.expect("start_loading")
                await bob.expect("start_loading")
                await queue_all([cid, dan])
                assert blocked() == "no_free_slot"

    asyncio.run(story())
