"""Dedicated servers that refuse, hang, drip, answer too much, elsewhere, twice or too late, or die; and none at all."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from match_server.protocol import Enqueue, MatchCancelled, StartLoading
from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.hostile import memory_mb
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, look, nobody_is_lost
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.fake_server import Answer, Call, Reply, answering, hang
from tests.shared.game_server import GameServer, Made
from tests.shared.node import Node
from tests.shared.redis_server import RedisServer

TIMEOUT_SECONDS = 0.5
SETTINGS: dict[str, Any] = {
    "node_lease_seconds": 1,
    "allocation_timeout_seconds": TIMEOUT_SECONDS,
    "allocation_attempts": 3,
}


async def make_then(server: GameServer, call: Call, answer: Answer) -> Reply | None:
    """The session is made, and the answer is this one."""
    await server.accept(call)
    return await answer(call)


@asynccontextmanager
async def a_bad_and_a_good_server(node: Node) -> AsyncIterator[tuple[GameServer, GameServer]]:
    """Both have as much room, so each is asked."""
    async with (
        GameServer([node], own_ids=False, capacity=100) as bad,
        GameServer([node], own_ids=False, capacity=100) as good,
    ):
        yield bad, good


def slots_agree(redis: RedisServer, prefix: str, *servers: GameServer) -> bool:
    """The registry counts what the servers run, and keeps no slot for what they do not."""
    contents = look(redis, prefix)
    return all(
        set(contents.get(f"active:{server.server_id}", {})) == server.live
        and not contents.get(f"reserved:{server.server_id}")
        for server in servers
    )


async def refuse(_: Call) -> Reply | None:
    return Reply(500, {"detail": "no"})


async def full(_: Call) -> Reply | None:
    return Reply(503, {"detail": "full"})


async def elsewhere(_: Call) -> Reply | None:
    return Reply(307, {}, {"Location": "http://127.0.0.1:9/session/create"})


async def nonsense(_: Call) -> Reply | None:
    return Reply(201, {"session_id": "has spaces in it", "server_address": ""})


@pytest.mark.parametrize(
    ("answer", "made"),
    [
        (refuse, False),
        (full, False),
        (elsewhere, False),
        (answering(None), False),
        (answering(None), True),
        (hang, True),
        (nonsense, True),
    ],
    ids=[
        "refuses",
        "is full",
        "redirects",
        "breaks the connection",
        "breaks the connection after it made the session",
        "hangs after it made the session",
        "answers nonsense after it made the session",
    ],
)
def test_a_server_that_misbehaves(redis: RedisServer, prefix: str, nodes: Nodes, answer: Answer, made: bool) -> None:
    """Its matches go to another one; each is told once; a session that it made all the same is ended."""
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, a_bad_and_a_good_server(node) as (bad, good):

            async def misbehave(call: Call) -> Reply | None:
                return await (make_then(bad, call, answer) if made else answer(call))

            bad.answer = misbehave
            before = memory_mb(node)
            crowd.add(8, [node.ws])
            await crowd.until_state(State.MATCHED)
            await seen(lambda: slots_agree(redis, prefix, bad, good))
            everybody_matched_once(redis, prefix, crowd.players, [bad, good])
            assert bad.asked, "it was asked"
            assert memory_mb(node) - before < 20
            assert not any(player.was_told(MatchCancelled) for player in crowd.players)

    asyncio.run(story())


def created(made: Made, address: str, *, length: int = 0) -> tuple[bytes, bytes]:
    body = json.dumps({"session_id": made.session_id, "server_address": address}).encode()
    return b"HTTP/1.1 201 X\r\nContent-Length: %d\r\n\r\n" % (length or len(body)), body


@pytest.mark.parametrize("how", ["drips", "sends 200 MB", "answers too late"])
def test_a_server_whose_answer_does_not_end_in_time(redis: RedisServer, prefix: str, nodes: Nodes, how: str) -> None:
    """One deadline bounds the whole call, one limit its answer."""
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, a_bad_and_a_good_server(node) as (bad, good):

            async def answer(call: Call, writer: asyncio.StreamWriter) -> None:
                head, body = created(bad.make(call), bad.address, length=200_000_000 if how == "sends 200 MB" else 0)
                if how == "answers too late":
                    await asyncio.sleep(2 * TIMEOUT_SECONDS)
                writer.write(head)
                if how == "sends 200 MB":
                    body = body.ljust(1_000_000)
                    for _ in range(200):
                        writer.write(body)
                        await writer.drain()
                elif how == "drips":
                    for byte in body:
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(0.05)
                else:
                    writer.write(body)

            bad.raw = answer
            before = memory_mb(node)
            crowd.add(8, [node.ws])
            await crowd.until_state(State.MATCHED)
            bad.raw = None
            await seen(lambda: slots_agree(redis, prefix, bad, good))
            everybody_matched_once(redis, prefix, crowd.players, [bad, good])
            assert bad.asked, "it was asked"
            note(f"a dedicated server {how}: growth", memory_mb(node) - before, "MB")
            assert memory_mb(node) - before < 20
            assert not any(player.was_told(MatchCancelled) for player in crowd.players)

    asyncio.run(story())


def test_a_server_that_answers_twice(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """The second answer must not be taken for that of the next match."""
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, GameServer([node]) as server:

            async def twice(call: Call, writer: asyncio.StreamWriter) -> None:
                writer.write(b"".join(created(server.make(call), server.address)) * 2)
                await writer.drain()

            server.raw = twice
            for _ in range(5):
                await crowd.until_state(State.MATCHED, who=crowd.add(2, [node.ws]))
            everybody_matched_once(redis, prefix, crowd.players, [server])

    asyncio.run(story())


@pytest.mark.parametrize("own_ids", [False, True], ids=["the id that it was given", "an id of its own"])
def test_a_session_is_not_ended_while_its_match_may_come_back_to_it(
    redis: RedisServer, prefix: str, nodes: Nodes, own_ids: bool
) -> None:
    """Its create was not answered in time, twice; heartbeats list it; the only server there is is asked once more."""
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, GameServer([node], own_ids=own_ids) as server:

            async def hang_twice(call: Call) -> Reply | None:
                await server.accept(call)
                if len(server.calls) <= 2:
                    await hang(call)
                await beaten.wait()
                return await server.accept(call)

            async def beat_in_quarantine() -> None:
                await seen(lambda: "unknown" in str(look(redis, prefix).get(f"reserved:{server.server_id}")))
                for _ in range(3):
                    await server.beat()
                beaten.set()

            beaten = asyncio.Event()
            server.answer = hang_twice
            crowd.add(2, [node.ws])
            await asyncio.gather(crowd.until_state(State.MATCHED), beat_in_quarantine())
            assert server.ended == []
            everybody_matched_once(redis, prefix, crowd.players, [server])
            await seen(lambda: slots_agree(redis, prefix, server))

    asyncio.run(story())


def test_a_server_that_dies_after_it_accepted(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Its lease ends, its sessions count as lost and its slots are void; its players could enqueue again all along."""
    (node,) = nodes.start(1, **SETTINGS | {"server_lease_seconds": 1})

    async def story() -> None:
        async with Crowd() as crowd, GameServer([node]) as server:
            crowd.add(4, [node.ws])
            await crowd.until_state(State.MATCHED)
            server.die()
            died_at = time.monotonic()
            async with GameServer([node]) as other:
                for player in crowd.players:
                    await player.client.send(Enqueue(player_id=player.player_id, game_mode=MODE))
                await crowd.until_state(State.MATCHED)
                await seen(lambda: server.server_id not in look(redis, prefix)["servers"])
                note("a dead dedicated server is forgotten (lease 1 s)", time.monotonic() - died_at, "s")
                assert not any(server.server_id in key for key in look(redis, prefix))
                assert other.made

    asyncio.run(story())


def test_a_server_that_dies_while_it_is_asked(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    (node,) = nodes.start(1, **SETTINGS | {"server_lease_seconds": 1})

    async def story() -> None:
        async with Crowd() as crowd, a_bad_and_a_good_server(node) as (bad, good):

            async def die(call: Call) -> Reply | None:
                await bad.accept(call)
                bad.die()
                return None

            bad.answer = die
            crowd.add(8, [node.ws])
            await crowd.until_state(State.MATCHED)
            await seen(lambda: bad.server_id not in look(redis, prefix)["servers"])
            bad.made.clear()  # its sessions died with it
            everybody_matched_once(redis, prefix, crowd.players, [bad, good])
            await seen(lambda: slots_agree(redis, prefix, good))

    asyncio.run(story())


def test_no_server_is_free(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Ten players and two slots: two matches form, no more; the others wait and are told nothing false."""
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            crowd.add(10, [node.ws])
            await crowd.until_state(State.QUEUED)
            async with GameServer([node], capacity=2) as server:
                await seen(lambda: sum(p.state is State.MATCHED for p in crowd.players) == 4)
                await seen(lambda: server.row()["active"] == 2)
                for _ in range(5):  # several periods of TryMatch
                    assert node.queue(MODE)["waiting"] == 6
                    await asyncio.sleep(0.1)
                waiting = [player for player in crowd.players if player.state is State.QUEUED]
                assert not any(player.was_told(StartLoading) for player in waiting)
                for made in list(server.made.values()):
                    await server.end_session(made.session_id)
                await seen(lambda: sum(p.state is State.MATCHED for p in crowd.players) == 8)
                assert server.most_live == 2
                nobody_is_lost(redis, prefix, crowd)

    asyncio.run(story())


def test_a_ready_match_whose_slot_was_lost_waits_for_another_then_goes_back_in_front(
    redis: RedisServer, prefix: str, nodes: Nodes
) -> None:
    (node,) = nodes.start(1, **SETTINGS | {"allocation_wait_seconds": 1})

    async def story() -> None:
        async with Crowd(may_load=False) as crowd:
            async with GameServer([node]):
                crowd.add(2, [node.ws])
                await crowd.until_state(State.LOADING)
            await crowd.load()  # the server has left meanwhile
            loaded_at = time.monotonic()
            await crowd.until(lambda p: p.was_told(MatchCancelled) == 1)
            note("a ready match without a slot is given up (wait 1 s)", time.monotonic() - loaded_at, "s")
            assert {m.reason for p in crowd.players for m in p.told if isinstance(m, MatchCancelled)} == {
                "allocation_failed"
            }
            await crowd.until_state(State.QUEUED)
            assert redis.do("ZCARD", f"{prefix}queue:{MODE}:front") == 2
            (failed,) = (line for line in node.log.splitlines() if "] allocation_failed" in line)
            assert "no_free_slot" in failed
            assert all(player.player_id in failed for player in crowd.players)
            async with GameServer([node]) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server])
            assert all(player.was_told(StartLoading) == 2 for player in crowd.players), "no storm"

    asyncio.run(story())


@pytest.mark.parametrize("count", [1, 4])
def test_a_match_that_every_server_refuses(redis: RedisServer, prefix: str, nodes: Nodes, count: int) -> None:
    """Two players whom the servers refuse as wrong are dequeued, and 60 others play as if those two were not there."""
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, AsyncExitStack() as stack:

            def particular(server: GameServer) -> Answer:
                async def answer(call: Call) -> Reply | None:
                    if any(player.startswith("bad") for player in call.players):
                        return Reply(400, {"detail": "players.0: expected a UUID"})
                    return await server.accept(call)

                return answer

            servers = [await stack.enter_async_context(GameServer([node], own_ids=False)) for _ in range(count)]
            for server in servers:
                server.answer = particular(server)
            bad = crowd.add(2, [node.ws], name="bad")
            await crowd.until_state(State.LOADING)
            good = crowd.add(60, [node.ws])
            await crowd.load()
            note(f"matched beside a match that {count} refuse", await crowd.until_state(State.MATCHED, who=good), "s")
            await crowd.until(lambda player: player.reasons == ["refused"], who=bad)
            everybody_matched_once(redis, prefix, good, servers)
            refused = [call for server in servers for call in server.calls if call.players[0].startswith("bad")]
            assert len(refused) == min(count, 2), "asked of one more server, then given up"
            assert "players.0: expected a UUID" in node.log

    asyncio.run(story())


def test_every_server_fails(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """The attempts are used up, the players go back in front; nothing forms until one match has probed a server."""
    (node,) = nodes.start(1, **SETTINGS | {"allocation_attempts": 2})

    async def story() -> None:
        async with Crowd() as crowd, AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(GameServer([node], answer=refuse)) for _ in range(2)]
            crowd.add(2, [node.ws])
            await crowd.until(lambda p: p.was_told(MatchCancelled) == 1)
            assert sum(server.asked for server in servers) == 2, "an attempt is one server"
            late = crowd.add(20, [node.ws])
            await crowd.until(lambda p: p.journey.times.queued is not None, who=late)
            await seen(lambda: all(server.row()["state"] == "quarantined" for server in servers))
            asked = sum(server.asked for server in servers)
            for server in servers:
                server.answer = server.accept
            await crowd.until_state(State.MATCHED, within_seconds=15)
            everybody_matched_once(redis, prefix, crowd.players, servers)
            note("every server refuses: creates before one accepted", asked, "calls")

    asyncio.run(story())
