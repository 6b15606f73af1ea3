"""Hard cases of matching by rules, from public reports about other matchmakers."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.shared.fake_server import FakeServer, Reply, answering
from tests.shared.node import Node, eventually
from tests.shared.player import Frame, Player, match_all, players_on
from tests.shared.prefix import fresh_prefix

MODES = """
[attributes]
rating = { type = "number", default = 1500 }
latency = { type = "latencies", default = {} }

[game_modes.duel]
players = 2
rules = [{ kind = "difference", attribute = "rating", max = 50, widen = [{ after_seconds = 1, max = 400 }] }]

[game_modes.near]
players = 2
rules = [{ kind = "latency", attribute = "latency", max = 60 }]

[game_modes.again]
players = 2
rules = []
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("hard")
    (folder / "modes.toml").write_text(MODES)
    prefix = fresh_prefix()
    with Node(folder, redis_url, prefix, config=folder / "modes.toml", allocation_attempts=1) as started:
        yield started


async def queue(player: Player, mode: str, **attributes: object) -> Frame:
    await player.send("enqueue", player_id=player.player_id, game_mode=mode, attributes=attributes)
    return await player.expect("queued", game_mode=mode)


def explanation(node: Node, player: Player) -> Frame:
    found: Frame = node.get(f"/players/{player.player_id}/explanation")
    return found


def test_what_a_player_says_anew_holds(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "changed", "low", "high") as (changed, low, high):
            await queue(changed, "duel", rating=1000)
            await changed.send("dequeue")
            await changed.expect("dequeued")
            await queue(changed, "duel", rating=3000)
            await queue(low, "duel", rating=1000)
            await queue(high, "duel", rating=3010)
            start = await changed.expect("start_loading")
            assert sorted(start["players"]) == sorted([changed.player_id, high.player_id])
            await low.nothing()

    asyncio.run(journey())


def test_a_region_that_nobody_else_reaches_keeps_a_player_alone_and_says_so(node: Node) -> None:
    async def journey() -> None:
        async with (
            FakeServer(node, region="moon"),
            FakeServer(node, region="eu"),
            players_on(node, "far", "one", "other") as (far, one, other),
        ):
            await queue(far, "near", latency={"moon": 5})
            await queue(one, "near", latency={"eu": 20})
            await asyncio.to_thread(eventually, lambda: explanation(node, far).get("rules"))
            (rule,) = explanation(node, far)["rules"]
            assert (rule["kind"], rule["excluded"], explanation(node, far)["candidates"]) == ("latency", 1, 0)
            await queue(other, "near", latency={"eu": 30})
            for player in (one, other):
                await player.expect("start_loading", region="eu")
            await far.nothing()

    asyncio.run(journey())


def test_who_waits_while_its_only_region_loses_its_last_server_is_matched_when_one_is_back(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node, region="us"), players_on(node, "here", "anywhere") as (here, anywhere):
            async with FakeServer(node, region="eu"):
                await queue(here, "near", latency={"eu": 20})
            await queue(anywhere, "near", latency={"eu": 40, "us": 20})
            await asyncio.to_thread(eventually, lambda: explanation(node, here)["stage"] == "no_slots")
            await here.nothing()
            async with FakeServer(node, region="eu"):
                for player in (here, anywhere):
                    await player.expect("start_loading", region="eu")

    asyncio.run(journey())


def test_a_group_that_every_server_refuses_goes_round_slowly_and_loses_nobody(node: Node) -> None:
    async def journey() -> None:
        loop = asyncio.get_running_loop()
        refuses = answering(Reply(500, {}))
        async with FakeServer(node, answer=refuses) as server, players_on(node, "one", "other") as players:
            for player in players:
                await queue(player, "again")
            began = loop.time()
            for _ in range(3):
                for player in players:
                    await player.load()
                for player in players:
                    await player.expect("match_cancelled", reason="allocation_failed", requeued=True)
                    await player.expect("queued", requeued=True)
            assert loop.time() - began > 1, "each time it is left alone for longer"
            server.answer = server.accept
            await match_all(players)

    asyncio.run(journey())


def test_who_waited_long_and_whose_match_another_broke_keeps_its_age_and_its_windows(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "patient", "leaver", "next") as (patient, leaver, next_):
            await queue(patient, "duel", rating=6000)
            await asyncio.sleep(1.1)  # the case is about time that passes
            await queue(next_, "duel", rating=6300)  # which has to wait for a second, too
            await queue(leaver, "duel", rating=6000)
            start = await patient.expect("start_loading")
            assert leaver.player_id in start["players"], "the nearer one"
            await leaver.expect("start_loading")
            await leaver.send("dequeue")
            await patient.expect("match_cancelled", reason="player_left")
            await patient.expect("queued", requeued=True)
            await next_.expect("start_loading", within_seconds=3)

    asyncio.run(journey())
