"""Matches on Agones fleets, from the first frame to the end of the game server: a real node, a fake Kubernetes API."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_agones import TOKEN, FakeAgones, FleetSize, session_ids
from tests.shared.fake_server import Call
from tests.shared.node import LoggingNode, eventually, run
from tests.shared.player import MODE, Player, match_all, players_on, queue_all
from tests.shared.prefix import fresh_prefix

SETTINGS = {"game_modes": f"{MODE}:2", "allocation_timeout_seconds": 3, "messages_per_second": 1000}


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Callable[..., Any]:
    """Starts a node, and more nodes with the same prefix."""
    prefix = fresh_prefix()

    @asynccontextmanager
    async def starting(agones: FakeAgones, **settings: object) -> AsyncIterator[LoggingNode]:
        path = agones.file(tmp_path)
        node = LoggingNode(tmp_path, redis_url, prefix, **{**SETTINGS, "agones": path, **settings})
        await asyncio.to_thread(node.start)
        error: BaseException | None = None
        try:
            yield node
        except BaseException as raised:
            error = raised
            raise
        finally:
            # In a thread: the node may need its Kubernetes API, which is here, to stop.
            await asyncio.to_thread(node.__exit__, type(error) if error else None, error, None)
            assert TOKEN not in node.log

    return starting


async def seen(look: Callable[[], Any], *, within_seconds: float = 20.0) -> Any:
    """As `eventually`, while the fake API goes on answering."""
    return await asyncio.to_thread(eventually, look, within_seconds=within_seconds)


def row(node: LoggingNode, server_id: str = "agones-duel") -> Any:
    """What `GET /servers` says of a fleet."""
    return next((one for one in node.get("/servers")["servers"] if one["server_id"] == server_id), None)


async def registered(node: LoggingNode, server_id: str = "agones-duel", **fields: Any) -> Any:
    def look() -> Any:
        found = row(node, server_id)
        return found if found and fields.items() <= found.items() else None

    return await seen(look)


@asynccontextmanager
async def a_match(node: LoggingNode) -> AsyncIterator[tuple[list[Player], dict[str, Any]]]:
    """Two players, matched; and what both were told."""
    async with players_on(node, "ann", "bob") as players:
        await queue_all(players)
        first, second = await match_all(players)
        assert first["server_address"] == second["server_address"]
        yield players, first


def test_a_match_waits_for_a_game_server_of_the_fleet_gets_it_and_gives_it_back(start: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with FakeAgones({"duel": FleetSize(0)}) as agones, start(agones) as node:
            await registered(node, capacity=0, control_url="agones://default/duel")
            async with players_on(node, "ann", "bob") as players:
                await queue_all(players)
                for player in players:
                    await player.nothing(for_seconds=0.3)
                agones.fleets["duel"].replicas = 2
                agones.fill("duel")
                found, _ = await match_all(players)
                (name,) = agones.allocated()
                assert found["server_address"] == agones.address(name)
                assert found["session_id"] == found["loading_session_id"]
                told = json.loads(agones.game_servers[name]["metadata"]["annotations"]["match-server/session"])
                assert sorted(told["players"]) == sorted(player.player_id for player in players)
                await registered(node, capacity=2, active=1, reserved=0)
            agones.shut_down(name)
            await registered(node, capacity=2, active=0)
            assert agones.deleted == [], "it ended by itself"

    asyncio.run(scene())


def test_a_mistake_in_the_file_ends_the_start_with_a_line_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "agones.toml"
    path.write_text('api_url = "https://127.0.0.1:1"\ntoken_file = "no-such"\n[[fleets]]\nfleet = "duel"')
    ended = run("match_server", folder=tmp_path, agones=path, port=0)
    assert ended.returncode == 2
    assert "MATCH_AGONES: token_file: no-such is not a file" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_dedicated_server_cannot_register_under_the_id_of_a_fleet(start: Callable[..., Any]) -> None:
    body = {"control_url": "http://127.0.0.1:9", "address": "203.0.113.9:7777", "capacity": 1}

    async def scene() -> None:
        async with FakeAgones({"duel": FleetSize(1)}) as agones, start(agones) as node:
            await registered(node, capacity=1)
            for server_id, status in (("agones-duel", 422), ("agones-other", 422), ("duel", 201)):
                answer = await asyncio.to_thread(node.http.post, "/servers", json={**body, "server_id": server_id})
                assert answer.status_code == status, answer.text
                assert ("MATCH_AGONES" in answer.text) == (status == 422)
            await registered(node, control_url="agones://default/duel")

    asyncio.run(scene())


def test_a_session_that_ends_by_report_frees_its_place_on_a_dense_game_server(start: Callable[..., Any]) -> None:
    async def scene() -> None:
        agones = FakeAgones({"duel": FleetSize(1, "rooms", capacity=2)})
        async with agones, start(agones) as node:
            await registered(node, capacity=2)
            async with a_match(node) as (_, one), a_match(node) as (_, other):
                (server,) = agones.of_fleet("duel")
                assert one["server_address"] == other["server_address"]
                assert set(session_ids(server)) == {one["session_id"], other["session_id"]}
                await registered(node, capacity=2, active=2, free=0)
                path = f"/servers/agones-duel/sessions/{one['session_id']}/end"
                answer = await asyncio.to_thread(node.http.post, path)
                assert answer.status_code == 204

                def freed() -> bool:
                    (server,) = agones.of_fleet("duel")
                    return session_ids(server) == [other["session_id"]]

                await seen(freed)
                (server,) = agones.of_fleet("duel")
                assert server["status"]["counters"]["rooms"]["count"] == 1
                assert list(server["metadata"]["annotations"])[1:] == [f"session.match-server/{other['session_id']}"]
                await registered(node, capacity=2, active=1, free=1)

    asyncio.run(scene())


def test_game_servers_that_no_match_needs_are_freed_and_those_of_others_are_not(start: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with FakeAgones({"duel": FleetSize(3)}) as agones, start(agones) as node:
            await registered(node, capacity=3)
            stray, foreign, _ = sorted(agones.game_servers)
            session = {"match-server/session": str(uuid.uuid4())}
            agones.change(foreign, labels={**session, "match-server/owner": "somebody-else"})
            agones.change(stray, labels={**session, "match-server/owner": "match-server"})
            await seen(lambda: agones.deleted == [stray])
            await asyncio.to_thread(node.wait_for_line, "game_server_freed", game_server=stray)
            await registered(node, capacity=2)
            assert agones.allocated() == [foreign]

    asyncio.run(scene())


def test_an_allocation_that_is_carried_out_late_is_given_back(start: Callable[..., Any]) -> None:
    """Its match has long had another: of two game servers with one session, the one that the players know of stays."""

    async def scene() -> None:
        agones = FakeAgones({"duel": FleetSize(2)})
        late: list[Call] = []

        def first_is_late(call: Call) -> str | None:
            if call.method == "POST" and not late:
                late.append(call)
                return "late"
            return None

        agones.faults = first_is_late
        async with agones, start(agones) as node:
            await registered(node, capacity=2)
            async with a_match(node) as (_, found):
                kept = agones.named(found["server_address"])
                # What Agones does where its own picture is behind: it allocates another one for the same session.
                hidden = agones.game_servers[kept]
                agones.change(kept, state="Reserved")
                agones.release.set()
                await seen(lambda: sum(agones.allocations.values()) == 2)
                agones.put({**hidden, "status": {**hidden["status"], "state": "Allocated"}})
                (double,) = {name for _, name in agones.allocations} - {kept}
                await seen(lambda: agones.deleted == [double])
                assert agones.allocated() == [kept]
                await registered(node, active=1)

    asyncio.run(scene())


def test_sessions_survive_an_outage_of_the_kubernetes_api(start: Callable[..., Any]) -> None:
    async def scene() -> None:
        agones = FakeAgones({"duel": FleetSize(2)})
        away: list[bool] = []
        agones.faults = lambda call: "broken" if away else None
        async with agones, start(agones, server_lease_seconds=3) as node:
            await registered(node, capacity=2)
            async with a_match(node) as (_, found):
                await registered(node, active=1)
                away.append(True)
                await asyncio.to_thread(node.wait_for_line, "fleet_unreachable", server_id="agones-duel")
                await asyncio.to_thread(node.wait_for_line, "server_lost", server_id="agones-duel")
                away.clear()
                await registered(node, capacity=2, active=1)
                await asyncio.to_thread(node.wait_for_line, "fleet_reached", server_id="agones-duel")
                looks = len(agones.calls)
                await seen(lambda: len(agones.calls) > looks + 6)
                assert agones.allocated() == [agones.named(found["server_address"])]

    asyncio.run(scene())


def test_of_two_nodes_one_looks_and_the_other_takes_over(start: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with FakeAgones({"duel": FleetSize(1)}) as agones, start(agones) as other, start(agones) as node:
            await registered(node, capacity=1)
            leader = other.redis.get(other.key("fleets"))
            first, second = (other, node) if leader == other.lines("node_started")[0]["node"] else (node, other)
            await asyncio.to_thread(first.kill)
            agones.fleets["duel"].replicas = 4
            agones.fill("duel")
            await registered(second, capacity=4)
            if first is other:  # leaving its block asks for a good end
                await asyncio.to_thread(other.start)
            else:
                await asyncio.to_thread(node.start)

    asyncio.run(scene())


def test_40_matches_over_a_bad_line_have_a_game_server_each_and_leave_none_behind(start: Callable[..., Any]) -> None:
    chance = random.Random(17)  # noqa: S311 - to be repeated
    kinds = ["conflict", "busy", "broken", "cut", "lost", "garbage", "broken_after"]

    def faults(call: Call) -> str | None:
        return chance.choice(kinds) if chance.random() < 0.2 else None

    async def scene() -> None:
        agones = FakeAgones({"duel": FleetSize(40)}, faults)
        async with agones, start(agones, allocation_timeout_seconds=5) as node:
            await registered(node, capacity=40)
            async with players_on(node, *(f"p{number}" for number in range(80))) as players:
                await queue_all(players)
                frames = await match_all(players)
            told = {frame["server_address"]: frame["session_id"] for frame in frames}
            assert len(told) == len(set(told.values())) == 40
            await registered(node, active=40, reserved=0)

            def held() -> dict[str, list[str]]:
                return {agones.address(name): session_ids(agones.game_servers[name]) for name in agones.allocated()}

            await seen(lambda: held() == {address: [session] for address, session in told.items()})
            paths = [f"/servers/agones-duel/sessions/{session}/end" for session in told.values()]
            for path in paths:
                assert (await asyncio.to_thread(node.http.post, path)).status_code == 204
            await seen(lambda: agones.allocated() == [])
            await registered(node, active=0, reserved=0, capacity=40)

    asyncio.run(scene())
