"""SIGHUP: a node reads its game modes again, while players wait in them."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import Player, fresh_id, players_on
from tests.shared.prefix import fresh_prefix

ATTRIBUTES = """
[attributes]
rating = { type = "number", default = 1500 }
build = { type = "text", default = "1.0" }
rank = { type = "text" }
"""


def modes(max_difference: int = 50, *, revision: int = 0, rules: str = "", others: str = "") -> str:
    difference = f'{{ kind = "difference", attribute = "rating", max = {max_difference} }}'
    return f"""
revision = {revision}
{ATTRIBUTES}
[game_modes]
Normal_1v1 = 2
{others}
[game_modes.duel]
players = 2
party_max = 2
rules = [{difference}{rules}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "modes.toml"
    written.write_text(modes())
    return written


@pytest.fixture
def node(tmp_path: Path, file: Path, redis_url: str) -> Iterator[Node]:
    with Node(tmp_path, redis_url, fresh_prefix(), config=file) as started:
        yield started


def reload(node: Node, file: Path, text: str, *, says: str = "reloaded") -> None:
    """Replace the file, send SIGHUP, and wait until the node has said what came of it."""
    file.write_text(text)
    before = node.log.count(says)
    node.send_signal(signal.SIGHUP)
    eventually(lambda: node.log.count(says) > before)


async def enqueue(player: Player, mode: str = "duel", **fields: Any) -> None:
    await player.send("enqueue", player_id=player.player_id, game_mode=mode, **fields)


async def wait_in(player: Player, rating: int) -> None:
    await enqueue(player, attributes={"rating": rating})
    await player.expect("queued", game_mode="duel")


def test_wider_rules_match_those_who_wait_already(node: Node, file: Path) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "low", "high") as (low, high):
            await wait_in(low, 1000)
            await wait_in(high, 1300)
            before = node.queue("duel")["rules_version"]
            await asyncio.to_thread(reload, node, file, modes(400))
            start = await low.expect("start_loading")
            assert start["rules_version"] == node.queue("duel")["rules_version"] != before
            await high.expect("start_loading")

    asyncio.run(journey())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (modes().replace("max = 50", "max = -1"), "game_modes.duel.rules[0].max"),
        ("[game_modes", "not TOML"),
        ("[game_modes]\nduel = 2", "expected rules as before"),
    ],
)
def test_a_bad_file_changes_nothing_and_is_named(node: Node, file: Path, text: str, reason: str) -> None:
    before = node.queue("duel")["rules_version"]
    reload(node, file, text, says="reload_refused")
    assert reason in node.log
    assert node.queue("duel")["rules_version"] == before


def test_a_mode_that_is_new_can_be_played(node: Node, file: Path) -> None:
    async def journey() -> None:
        others = 'Trio = 3\ncoop = { players = 2, rules = [{ kind = "same", attribute = "build" }] }'
        await asyncio.to_thread(reload, node, file, modes(others=others))
        async with FakeServer(node), players_on(node, "a", "b", "c", "d", "e") as (a, b, c, d, e):
            for player in (a, b):
                await enqueue(player, "coop")
                await player.expect("queued")
            for player in (c, d, e):
                await enqueue(player, "Trio")
                await player.expect("queued")
            for player in (a, b, c, d, e):
                await player.expect("start_loading")

    asyncio.run(journey())


def test_a_random_mode_gets_rules_and_who_waits_in_it_is_matched_by_them(node: Node, file: Path) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "early", "late") as (early, late):
            await early.queue("Normal_1v1")
            ruled = modes().replace("Normal_1v1 = 2", "Normal_1v1 = { players = 2, rules = [] }")
            await asyncio.to_thread(reload, node, file, ruled)
            await enqueue(late, "Normal_1v1")
            await late.expect("queued")
            start = await late.expect("start_loading")
            assert len(start["rules_version"]) == 12
            await early.expect("start_loading")

    asyncio.run(journey())


def test_a_mode_that_is_removed_is_paused_and_a_gathering_party_completes(node: Node, file: Path) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob", "cid", "dan") as (ann, bob, cid, dan):
            party: dict[str, Any] = {"party_id": fresh_id(), "party_size": 2}
            await enqueue(ann, **party)
            await ann.expect("party", missing=1)
            await wait_in(cid, 3000)
            await asyncio.to_thread(reload, node, file, f"{ATTRIBUTES}[game_modes]\nNormal_1v1 = 2")
            await enqueue(dan, attributes={"rating": 3000})
            await dan.refused("queue_paused")
            await enqueue(dan, party_id=fresh_id(), party_size=2)
            await dan.refused("queue_paused")
            await enqueue(bob, **party)
            for player in (ann, bob):
                await player.expect("queued")
            assert node.queue("duel")["paused"]
            refused = node.http.post("/queues/duel/resume")
            assert (refused.status_code, node.queue("duel")["paused"]) == (409, True)
            assert "not in this node's settings" in refused.json()["detail"]
            assert node.get(f"/players/{cid.player_id}/explanation")["stage"] == "paused"
            await cid.send("dequeue")
            await cid.expect("dequeued", reason="requested")
            await asyncio.to_thread(reload, node, file, modes())
            for player in (ann, bob):
                await player.expect("start_loading")

    asyncio.run(journey())


def test_a_ticket_takes_the_default_of_what_new_rules_ask_for_or_waits_and_says_why(node: Node, file: Path) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "low", "high") as (low, high):
            await wait_in(low, 1000)
            await wait_in(high, 1300)
            by_rank = ', { kind = "same", attribute = "rank" }'
            await asyncio.to_thread(reload, node, file, modes(400, rules=by_rank))
            path = f"/players/{low.player_id}/explanation"
            await asyncio.to_thread(eventually, lambda: node.get(path).get("missing") == "rank")
            by_build = ', { kind = "same", attribute = "build" }'
            await asyncio.to_thread(reload, node, file, modes(400, rules=by_build))
            await low.expect("start_loading", properties={"build": "1.0"})

    asyncio.run(journey())


def test_the_highest_revision_holds_and_a_node_with_another_says_so(node: Node, file: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer.toml"
    newer.write_text(modes(400, revision=2))
    gauge = 'match_rules_differ{game_mode="duel"}'
    with Node(tmp_path, node.redis_url, node.prefix, config=newer) as second:

        def warned(of: Node) -> bool:
            return any("not the pool's" in warning for warning in of.get("/readyz")["warnings"])

        eventually(lambda: warned(node))
        assert f"{gauge} 1.0" in node.http.get("/metrics").text
        assert not warned(second)

        async def journey() -> None:
            async with FakeServer(node), players_on(node, "low", "high") as (low, high):
                await wait_in(low, 1000)
                await wait_in(high, 1300)  # which only the newer rules allow
                start = await low.expect("start_loading")
                assert start["rules_version"] == second.queue("duel")["rules_version"]

        asyncio.run(journey())
        reload(node, file, modes(50, revision=1))
        eventually(lambda: warned(node))
        reload(node, file, modes(50, revision=2))  # among equal ones the last that was published
        eventually(lambda: warned(second))
        eventually(lambda: f"{gauge} 0.0" in node.http.get("/metrics").text)
        assert not warned(node)


def test_workers_read_their_modes_again_too(tmp_path: Path, file: Path, redis_url: str) -> None:
    prefix = fresh_prefix()
    with WorkerNode(tmp_path, redis_url, prefix, config=file) as node:
        file.write_text(modes(others="Trio = 3"))
        node.send_signal(signal.SIGHUP)
        eventually(lambda: node.log.count(" reloaded ") == 2)


class WorkerNode(Node):
    """Two processes on one port."""

    def __init__(self, folder: Path, redis_url: str, prefix: str, **settings: Any) -> None:
        super().__init__(folder, redis_url, prefix, **settings)
        self.command = (*self.command, "--workers", "2")
