"""Modes whose matches are formed by rules, as clients see them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import Frame, Player, fresh_id, match_all, player_on, players_on
from tests.shared.prefix import fresh_prefix

MODES = """
[attributes]
rating = { type = "number", default = 1500 }
latency = { type = "latencies", default = {} }
maps = { type = "list", default = [] }
roles = { type = "list", default = [] }
loadout = { type = "text", default = "" }

[game_modes]
Normal_1v1 = 2

[game_modes.ranked]
players = 2
rules = [{ kind = "difference", attribute = "rating", max = 50, widen = [{ after_seconds = 1.5, max = 400 }] }]

[game_modes.raid]
teams = { all = 2 }
roles = { all = { tank = 1, healer = 1 } }
rules = [{ kind = "latency", attribute = "latency", max = 60 }, { kind = "common", attribute = "maps" }]

[game_modes.fresh]
players = 2
rules = [{ kind = "rematch", within_seconds = 60 }]

[game_modes.teams]
teams = { blue = 2, red = 2 }
party_max = 2
rules = [{ kind = "team_difference", attribute = "rating", max = 200 }]
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("ranked")
    (folder / "modes.toml").write_text(MODES)
    with Node(folder, redis_url, fresh_prefix(), config=folder / "modes.toml") as started:
        yield started


async def queue(player: Player, mode: str, **fields: object) -> Frame:
    await player.send("enqueue", player_id=player.player_id, game_mode=mode, **fields)
    return await player.expect("queued", game_mode=mode)


def test_near_ratings_meet_at_once_and_far_ones_when_their_windows_have_widened(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "low", "high", "near") as (low, high, near):
            await queue(low, "ranked", attributes={"rating": 1000})
            await queue(high, "ranked", attributes={"rating": 1300})
            await queue(near, "ranked", attributes={"rating": 1340})
            start = await high.expect("start_loading", game_mode="ranked")
            assert sorted(start["players"]) == sorted([high.player_id, near.player_id])
            assert len(start["rules_version"]) == 12
            await low.nothing()

    asyncio.run(journey())


def test_far_ratings_meet_when_the_windows_of_both_have_widened(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "one", "other") as (one, other):
            loop = asyncio.get_running_loop()
            await queue(one, "ranked", attributes={"rating": 2000})
            await queue(other, "ranked", attributes={"rating": 2300})
            queued_at = loop.time()
            await one.expect("start_loading", game_mode="ranked")
            assert 1.3 < loop.time() - queued_at < 5

    asyncio.run(journey())


def test_a_party_stays_together_against_a_team(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob", "cid", "dan") as (ann, bob, cid, dan):
            party = {"party_id": fresh_id(), "party_size": 2}
            for player in (ann, bob):
                await player.send("enqueue", player_id=player.player_id, game_mode="teams", **party)
            for player in (cid, dan):
                await player.send("enqueue", player_id=player.player_id, game_mode="teams")
            while (start := await ann.next())["type"] != "start_loading":
                pass
            assert sorted(map(len, start["teams"].values())) == [2, 2]
            assert sorted([ann.player_id, bob.player_id]) in [sorted(team) for team in start["teams"].values()]

    asyncio.run(journey())


def test_a_dedicated_server_and_the_players_are_told_what_the_rules_have_settled(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node, region="eu") as server, players_on(node, "a", "b") as (a, b):
            near = {"latency": {"eu": 20, "us": 90}, "maps": ["desert", "ice"]}
            await queue(a, "raid", attributes=near | {"roles": ["tank"], "loadout": "heavy"})
            await queue(b, "raid", attributes=near | {"roles": ["healer"]})
            starts = [await player.load() for player in (a, b)]
            (call,) = await server.called(1)
            settled = ("teams", "roles", "region", "properties", "rules_version")
            assert [call.body[name] for name in settled] == [starts[0][name] for name in settled]
            assert call.body["roles"] == {a.player_id: "tank", b.player_id: "healer"}
            assert {name: sorted(team) for name, team in call.body["teams"].items()} == {"all": sorted(call.players)}
            assert (call.body["region"], call.body["properties"]) == ("eu", {"maps": "desert"})
            assert call.body["attributes"][a.player_id]["loadout"] == "heavy", "carried as it is: no rule reads it"
            assert set(call.body["attributes"]) == {a.player_id, b.player_id}
            for player in (a, b):
                found = await player.expect("match_found")
                assert [found[name] for name in settled] == [starts[0][name] for name in settled]

    asyncio.run(journey())


def test_a_waiting_player_is_told_why(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "weak", "strong") as (weak, strong):
            await queue(weak, "ranked", attributes={"rating": 1000})
            await queue(strong, "ranked", attributes={"rating": 2000})
            path = f"/players/{weak.player_id}/explanation"

            def look() -> dict[str, Any] | None:
                found: dict[str, Any] = node.get(path)
                return found if found.get("nearest") else None

            found = await asyncio.to_thread(eventually, look)
            assert (found["stage"], found["waiting"], found["candidates"]) == ("waiting", 2, 0)
            (rule,) = found["rules"]
            assert (rule["kind"], rule["attribute"], rule["excluded"]) == ("difference", "rating", 1)
            assert found["nearest"] == {"value": 1000, "allowed_in_seconds": None}
            assert strong.player_id not in str(found)
            assert node.http.get("/players/nobody/explanation").status_code == 404

    asyncio.run(journey())


def test_another_node_proposes_when_the_proposers_node_dies(node: Node, tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(MODES)
    prefix = fresh_prefix()
    first = Node(tmp_path, node.redis_url, prefix, config=tmp_path / "modes.toml")
    with first, Node(tmp_path, node.redis_url, prefix, config=tmp_path / "modes.toml") as second:

        async def journey() -> None:
            # Whoever took the lease first holds it: the first node, which was ready before the second began.
            async with FakeServer(second), players_on(second, "one", "other") as (one, other):
                await queue(one, "ranked", attributes={"rating": 1500})
                first.kill()
                await queue(other, "ranked", attributes={"rating": 1510})
                await one.expect("start_loading", within_seconds=5)
                await other.expect("start_loading", within_seconds=5)

        asyncio.run(journey())


def test_who_has_just_met_does_not_meet_again_after_the_proposer_has_moved(node: Node, tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(MODES)
    prefix = fresh_prefix()
    first = Node(tmp_path, node.redis_url, prefix, config=tmp_path / "modes.toml")
    with first, Node(tmp_path, node.redis_url, prefix, config=tmp_path / "modes.toml") as second:

        async def journey() -> None:
            names = ("one", "other", "third")
            async with FakeServer(second, capacity=9), players_on(second, *names) as (one, other, third):
                for player in (one, other):
                    await queue(player, "fresh")
                await match_all([one, other])
                first.kill()
                for player in (one, other):
                    await queue(player, "fresh")
                await asyncio.to_thread(eventually, lambda: second.queue("fresh")["proposer"])
                await queue(third, "fresh")
                start = await third.expect("start_loading")
                assert one.player_id in start["players"], "who waits longest"
                await other.nothing()

        asyncio.run(journey())


def test_any_node_explains_and_shows_the_queue_as_the_proposer_sees_it(node: Node, tmp_path: Path) -> None:
    (tmp_path / "modes.toml").write_text(MODES)
    prefix = fresh_prefix()
    first = Node(tmp_path, node.redis_url, prefix, config=tmp_path / "modes.toml")
    with first, Node(tmp_path, node.redis_url, prefix, config=tmp_path / "modes.toml") as second:

        async def journey() -> None:
            async with FakeServer(second), players_on(second, "weak", "strong") as (weak, strong):
                queued = await queue(weak, "ranked", attributes={"rating": 1000})
                assert queued["estimated_wait_seconds"] is None, "nobody has been matched yet"
                await queue(strong, "ranked", attributes={"rating": 2000})

                def look() -> dict[str, Any] | None:
                    found: dict[str, Any] = second.get("/queues/ranked")
                    both_seen = second.get(f"/players/{weak.player_id}/explanation").get("nearest")
                    return found if found["proposer"] and both_seen else None

                seen = await asyncio.to_thread(eventually, look)
                nodes = {status["node"] for status in second.get("/nodes")["nodes"]}
                assert seen["proposer"] in nodes
                assert (seen["waiting"], seen["tickets_waiting"]) == (2, 2)
                assert (seen["windows"][0]["kind"], seen["last_matches"]["matches"]) == ("difference", 0)
                assert seen["wait_seconds"]["p50"] <= seen["wait_seconds"]["p99"] <= seen["oldest_wait_seconds"] + 0.001
                for asked in (first, second):
                    found = asked.get(f"/players/{weak.player_id}/explanation")
                    assert found["nearest"] == {"value": 1000, "allowed_in_seconds": None}, asked.log
                await weak.send("status")
                status = await weak.expect("status", state="queued", estimated_wait_seconds=None)
                assert status["explanation"]["waiting"] == 2
                assert status["waited_seconds"] > 0
                first.kill()
                status = second.get(f"/players/{weak.player_id}/explanation")
                assert (status["stage"], status["waiting"]) == ("waiting", 2)

        asyncio.run(journey())


def test_a_ticket_is_told_what_others_like_it_have_waited(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node, capacity=20):
            for _ in range(3):
                async with players_on(node, "one", "other") as players:
                    for player in players:
                        await queue(player, "ranked", attributes={"rating": 4000})
                    await match_all(players)
            async with player_on(node) as late:
                queued = await queue(late, "ranked", attributes={"rating": 4010})
                assert 0 <= queued["estimated_wait_seconds"] < 2

    asyncio.run(journey())


def test_players_whose_match_has_no_server_are_told_so(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "one", "other") as (one, other):
            await queue(one, "ranked", attributes={"rating": 1500})
            await queue(other, "ranked", attributes={"rating": 1500})

            def look() -> bool:
                found = node.get(f"/players/{one.player_id}/explanation")
                return bool(found["stage"] == "no_slots")

            await asyncio.to_thread(eventually, look)

    asyncio.run(journey())


def test_a_member_whose_link_breaks_while_its_party_gathers_comes_back_by_the_token_of_its_frame(node: Node) -> None:
    async def journey() -> None:
        party = {"party_id": fresh_id(), "party_size": 2}
        async with player_on(node) as ann, player_on(node, ann.player_id) as again, player_on(node) as bob:
            await ann.send("enqueue", player_id=ann.player_id, game_mode="teams", **party)
            token = (await ann.expect("party", missing=1))["resume_token"]
            await ann.drop()
            await again.resume(token)
            await again.expect("resumed", state="gathering", resume_token=token)
            assert (await again.expect("party", missing=1))["resume_token"] == token
            await bob.send("enqueue", player_id=bob.player_id, game_mode="teams", **party)
            for player in (again, bob):
                await player.expect("queued")
            await bob.send("dequeue")
            await bob.expect("dequeued")

    asyncio.run(journey())
