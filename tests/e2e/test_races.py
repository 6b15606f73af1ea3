"""Messages that overtake each other: whatever the order, nobody is lost, doubled, or waited for as a ghost."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, Frame, Player, fresh_id, match_all, player_on, players_on, queue_all

SETTINGS: dict[str, Any] = {"messages_per_second": 1000, "reconnect_grace_seconds": 0.5}


@pytest.fixture(scope="module")
def other(node: Node) -> Iterator[Node]:
    """A second node of the same pool."""
    with Node(node.folder, node.redis_url, node.prefix, **SETTINGS) as other:
        yield other


def _outcome(frame: Frame) -> str:
    """The type of a frame, or the code of an error."""
    return str(frame.get("code", frame["type"]))


@pytest.mark.parametrize("how", ["close", "drop"])
def test_who_goes_right_after_its_enqueue_leaves_no_ghost(node: Node, how: str) -> None:
    async def go() -> None:
        for _ in range(30):
            async with player_on(node) as player:
                await player.enqueue()
                await (player.leave() if how == "close" else player.drop())
        eventually(lambda: not node.players_under_way(), within_seconds=5)
        async with FakeServer(node), players_on(node, "ann", "bob") as players:
            await queue_all(players)
            for frame in await match_all(players):
                assert sorted(frame["players"]) == sorted(player.player_id for player in players)
        assert not node.keys("queue:*")
        assert not node.players_under_way()

    asyncio.run(go())


def test_who_leaves_and_comes_back_at_once_is_queued_at_once(node: Node) -> None:
    """What keeps an older connection's late claim out (docs/races.md, 23) is not in the way of the next one."""

    async def go() -> None:
        player_id = fresh_id()
        for _ in range(30):
            async with player_on(node, player_id) as player:
                await player.queue()
                await player.leave()

    asyncio.run(go())


def test_requests_sent_without_waiting_are_answered_in_order(node: Node) -> None:
    async def go() -> None:
        async with player_on(node) as player:
            for _ in range(20):
                await player.enqueue()
                await player.send("dequeue")
            for _ in range(20):
                await player.expect("queued", requeued=False)
                await player.expect("dequeued", reason="requested")
            await player.enqueue()
            await player.enqueue()
            await player.send("dequeue")
            await player.send("dequeue")
            answers = [await player.next() for _ in range(4)]
            assert sorted(_outcome(frame) for frame in answers) == [
                "already_in_queue",
                "dequeued",
                "not_in_queue",
                "queued",
            ]
            assert not node.state_of(player.player_id)

    asyncio.run(go())


@pytest.mark.parametrize("second", ["node", "other"])
def test_one_player_on_two_connections_at_once_is_queued_once(node: Node, other: Node, second: str) -> None:
    async def go() -> None:
        for _ in range(20):
            player_id = fresh_id()
            async with player_on(node, player_id) as one, player_on(nodes[second], player_id) as two:
                await asyncio.gather(one.enqueue(), two.enqueue())
                answers = await asyncio.gather(one.next(), two.next())
                assert sorted(_outcome(frame) for frame in answers) == ["already_in_queue", "queued"]
                assert node.queue()["waiting"] == 1
            eventually(lambda: not node.players_under_way(), within_seconds=5)

    nodes = {"node": node, "other": other}
    asyncio.run(go())


def test_a_dequeue_that_races_the_match_has_one_outcome(node: Node, other: Node) -> None:
    async def settle(player: Player) -> list[str]:
        """Every frame until the outcome of the dequeue."""
        while not player.frames or player.frames[-1]["type"] not in {"dequeued", "error"}:
            await player.next()
        return [_outcome(frame) for frame in player.frames]

    async def go() -> None:
        async with FakeServer(node):
            for _ in range(25):
                async with player_on(node) as ann, player_on(other) as bob:
                    await ann.queue()
                    await asyncio.gather(bob.enqueue(), ann.send("dequeue"))
                    seen = await settle(ann)
                    assert seen in (
                        ["queued", "dequeued"],
                        ["queued", "start_loading", "dequeued"],
                    ), seen
                    await bob.send("dequeue")
                    kinds = await settle(bob)
                    assert kinds in (
                        ["queued", "dequeued"],
                        ["queued", "start_loading", "match_cancelled", "queued", "dequeued"],
                        # The answer to its own dequeue may overtake the channel; what that brings then is over.
                        ["queued", "start_loading", "dequeued"],
                    ), kinds
                    await ann.nothing()  # after `dequeued` nothing comes

    asyncio.run(go())


async def _wander(home: Node, number: int) -> tuple[str, str]:
    """Walk the journey, every fifth losing its link and every seventh leaving; the player and its session, if any."""
    async with player_on(home) as player:
        with suppress(ConnectionClosed):
            await player.enqueue()
            while True:
                frame = await player.next(within_seconds=20)
                if frame["type"] == "start_loading" and number % 5 == 0:
                    await player.drop()
                elif frame["type"] == "start_loading" and number % 7 == 0:
                    await player.send("dequeue")
                elif frame["type"] == "start_loading":
                    await player.loaded(frame["loading_session_id"])
                elif frame["type"] in {"match_found", "dequeued"}:
                    return player.player_id, frame.get("session_id", "")
        return player.player_id, ""


def test_a_storm_of_comings_and_goings_ends_with_nothing_left(node: Node, other: Node) -> None:
    async def storm() -> None:
        async with FakeServer(node, capacity=200, batch=True) as server:
            walks = [asyncio.create_task(_wander((node, other)[number % 2], number)) for number in range(120)]
            done, waiting = await asyncio.wait(walks, timeout=5)
            assert len(waiting) <= 1, "at most an odd one waits"
            for walk in waiting:
                walk.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

            logged: dict[str, set[str]] = {}
            for call in server.calls:
                for item in call.body.get("sessions", [call.body]):
                    logged[item["session_id"]] = set(item["players"])
            for player_id, session_id in (walk.result() for walk in done):
                assert not session_id or player_id in logged[session_id]
            assert all(len(players) == 2 for players in logged.values())
            assert len(set().union(*logged.values())) == 2 * len(logged), "nobody is in two matches"
        eventually(lambda: not node.players_under_way(), within_seconds=5)
        assert not node.keys("queue:*")
        assert not node.keys("loading:*")

    asyncio.run(storm())


def test_resuming_on_the_connection_that_owns_the_player_does_not_close_it(node: Node) -> None:
    async def go() -> None:
        async with player_on(node) as player:
            token = (await player.queue())["resume_token"]
            await player.resume(token)
            await player.expect("resumed", state="queued")
            await player.expect("queued")
            await player.nothing()
            await player.send("dequeue")
            await player.expect("dequeued")

    asyncio.run(go())


def test_players_with_ids_like_fields_and_keys_are_players_like_any_other(node: Node) -> None:
    async def go() -> None:
        ids = ["state", f"front:{uuid.uuid4().hex[:6]}", f"{MODE}:front", "player:x"]
        async with FakeServer(node) as server:
            for one, two in (ids[:2], ids[2:]):
                async with player_on(node, one) as ann, player_on(node, two) as bob:
                    await queue_all([ann, bob])
                    for frame in await match_all([ann, bob]):
                        assert sorted(frame["players"]) == sorted([one, two])
            assert len(server.calls) == 2

    asyncio.run(go())
