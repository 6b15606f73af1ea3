"""Nodes that stop in good order, stall past their lease, or have a clock of their own."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from match_server.protocol import CloseCode
from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.hostile import PING, Hostile, frame
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, nobody_is_lost
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.fake_server import hang
from tests.shared.game_server import GameServer
from tests.shared.player import player_on
from tests.shared.redis_server import RedisServer

LEASE_SECONDS = 1.0
SETTINGS: dict[str, Any] = {"node_lease_seconds": LEASE_SECONDS, "allocation_timeout_seconds": 1}
STOP_SECONDS = 10.0  # the default


def test_sigterm_of_a_node_with_1000_connections_one_of_them_stuck(
    redis: RedisServer, prefix: str, nodes: Nodes
) -> None:
    """1012 within 1 s to all that read, exit status 0 within the deadline; all of them are matched on another node."""
    stopping, staying = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd, Hostile(stopping) as stuck:
            crowd.add(1000, [stopping.ws, staying.ws, staying.ws, staying.ws])
            await crowd.until_state(State.QUEUED, within_seconds=20)
            await stuck.upgrade()
            await stuck.send(frame(PING, bytes(125)) * 1500)  # its answers fill what may wait for it
            stopping.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            told = await crowd.until(lambda player: player.closes == [CloseCode.RESTARTING])
            note("SIGTERM: all 1,000 connections closed with 1012", told, "s")
            assert told < 1
            assert await asyncio.to_thread(stopping.wait, within_seconds=STOP_SECONDS) == 0
            note("SIGTERM: exit, one connection stuck", time.monotonic() - begun, "s")
            async with GameServer([staying]) as server:
                await crowd.until_state(State.MATCHED, within_seconds=15)
                note("SIGTERM: all 1,000 matched on another node", time.monotonic() - begun, "s")
                everybody_matched_once(redis, prefix, crowd.players, [server])

    asyncio.run(story())


def test_a_node_stalls_past_its_lease(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Shorter than lease and grace together: it was thought dead, and takes its players back; nobody is lost."""
    stalled, other = nodes.start(2, reconnect_grace_seconds=10, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer([other], answer=hang, capacity=12) as server:
            crowd.add(20, [stalled.ws])
            await crowd.until_state(State.LOADING, State.QUEUED)
            await crowd.until(lambda p: p.state is State.LOADING, who=crowd.players[:20])
            waiting = crowd.add(9, [stalled.ws], name="waits")
            await crowd.until_state(State.LOADING, State.QUEUED, who=waiting)
            await crowd.load()
            await server.called(4)  # it has allocations under way
            stalled.send_signal(signal.SIGSTOP)
            await seen(lambda: redis.do("ZCARD", f"{prefix}nodes") == 1, within_seconds=LEASE_SECONDS + 2)
            await seen(lambda: redis.do("ZCARD", f"{prefix}held") > 0)
            server.answer = server.accept
            await seen(lambda: len(server.made) >= 10)  # the other node adopts them
            stalled.send_signal(signal.SIGCONT)
            back_at = time.monotonic()
            await seen(lambda: redis.do("ZCARD", f"{prefix}held") == 0)
            note("a node stalled past its lease has taken its players back", time.monotonic() - back_at, "s")
            if len(crowd.players) % 2:
                crowd.add(1, [other.ws])
            async with GameServer([other]) as second:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server, second])
            assert not any(player.closes for player in crowd.players)

    asyncio.run(story())


def test_a_crowded_node_stalls_past_its_lease(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """More players than one sweep holds: the node comes back in the middle, and takes all of them back."""
    stalled, _ = nodes.start(2, reconnect_grace_seconds=2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            crowd.add(250, [stalled.ws])
            await crowd.until_state(State.QUEUED)
            stalled.send_signal(signal.SIGSTOP)
            await seen(lambda: redis.do("ZCARD", f"{prefix}held") > 0, within_seconds=LEASE_SECONDS + 2)
            stalled.send_signal(signal.SIGCONT)
            await seen(lambda: redis.do("ZCARD", f"{prefix}held") == 0, within_seconds=1.5)  # before their grace ends
            async with GameServer([stalled]) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server])

    asyncio.run(story())


def test_a_node_that_allocates_stalls_past_its_lease(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Its allocator renews its leases too; that must not hide from it that it was thought dead."""
    stalled, other = nodes.start(2, reconnect_grace_seconds=2, **SETTINGS | {"allocation_timeout_seconds": 30})

    async def story() -> None:
        async with Crowd() as crowd, GameServer([other], answer=hang, capacity=4) as server:
            crowd.add(8, [stalled.ws])
            await server.called(4)
            waiting = crowd.add(10, [stalled.ws])
            await crowd.until_state(State.QUEUED, who=waiting)
            for _ in range(3):
                stalled.send_signal(signal.SIGSTOP)
                await seen(lambda: redis.do("ZCARD", f"{prefix}held") > 9, within_seconds=LEASE_SECONDS + 2)
                stalled.send_signal(signal.SIGCONT)
                await seen(lambda: redis.do("ZCARD", f"{prefix}held") == 0, within_seconds=1.5)
            assert not any(player.closes or player.reasons for player in crowd.players)
            server.answer = server.accept

    asyncio.run(story())


def test_a_node_stalls_for_longer_than_lease_and_grace(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Its players may have been dropped, and are told so; nobody is in two places, and who comes again is matched."""
    stalled, other = nodes.start(2, reconnect_grace_seconds=0.3, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            crowd.add(10, [stalled.ws])
            await crowd.until_state(State.QUEUED)
            stalled.send_signal(signal.SIGSTOP)
            await seen(lambda: redis.do("ZCARD", f"{prefix}waiting:{MODE}") == 0, within_seconds=LEASE_SECONDS + 3)
            stalled.send_signal(signal.SIGCONT)
            await crowd.until(lambda p: p.state is State.LEFT)
            assert all(player.reasons == ["disconnected"] for player in crowd.players)
            nobody_is_lost(redis, prefix, crowd)
            crowd.add(10, [stalled.ws, other.ws])
            async with GameServer([other]) as server:
                again = crowd.players[10:]
                await crowd.until_state(State.MATCHED, who=again)
                everybody_matched_once(redis, prefix, again, [server])

    asyncio.run(story())


@pytest.mark.parametrize("off_seconds", [-300, 300], ids=["behind", "ahead"])
def test_a_node_whose_clock_is_5_minutes_off(
    redis: RedisServer,
    prefix: str,
    nodes: Nodes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    off_seconds: int,
) -> None:
    """Leases, deadlines and the order of waiting go by Redis' time; tokens are good on either node."""
    settings = {"reconnect_grace_seconds": 2, **SETTINGS}
    (right,) = nodes.start(1, **settings)
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "real_time, real_ns = time.time, time.time_ns\n"
        f"time.time = lambda: real_time() + {off_seconds}\n"
        f"time.time_ns = lambda: real_ns() + {off_seconds} * 1_000_000_000\n"
        "print('its clock shows', time.time())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (off,) = nodes.start(1, **settings)

    async def story() -> None:
        async with Crowd() as crowd:
            (first, *_) = crowd.add(10, [off.ws, right.ws])
            await crowd.until_state(State.QUEUED)
            crowd.add(10, [right.ws, off.ws])
            await crowd.until_state(State.QUEUED)
            made_at_seconds = int(first.journey._token.split("~")[1]) / 1000
            assert abs(made_at_seconds - time.time()) < 10
            shown = off.wait_for_output(r"its clock shows (\S+)")[1]
            assert abs(float(shown) - time.time() - off_seconds) < 20, "its clock is off indeed"
            for node in (off, right):
                assert node.get(f"/players/{first.player_id}")["since_seconds"] < 60
            for player in crowd.players:
                player.client.drop_link()
            await crowd.until(lambda p: len(p.closes) == 1)
            await crowd.until_state(State.QUEUED)  # each has resumed on the other node
            async with GameServer([right]) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(redis, prefix, crowd.players, [server])
            assert "nodes_dead" not in off.log + right.log

    asyncio.run(story())


def test_a_token_of_a_node_whose_clock_is_behind_dies_with_its_journey(
    redis: RedisServer, prefix: str, nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It seems older than the pool, as one does that proves a player to an emptied Redis: this pool lost nothing."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nreal, real_ns = time.time, time.time_ns\n"
        "time.time = lambda: real() - 300\ntime.time_ns = lambda: real_ns() - 300_000_000_000\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (off,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            (player,) = crowd.add(1, [off.ws])
            await crowd.until_state(State.QUEUED)
            await player.client.leave()
            await crowd.until(lambda p: p.state is State.LEFT)
            redis.do("DEL", f"{prefix}left:{player.player_id}")  # a minute later
            async with player_on(off, player.player_id) as late:
                await late.resume(player.journey._token)
                await late.refused("invalid_resume_token")

    asyncio.run(story())


@pytest.mark.parametrize("gives_up", [True, False], ids=["which its client gives up", "which stands"])
def test_a_claim_that_lay_in_the_socket_of_a_stalled_node_takes_no_player_back(
    redis: RedisServer, prefix: str, nodes: Nodes, gives_up: bool
) -> None:
    """The client has resumed on another node meanwhile, and stays there."""
    stalled, other = nodes.start(2, reconnect_grace_seconds=10)

    async def story() -> None:
        async with player_on(stalled) as first:
            token = (await first.queue(MODE))["resume_token"]
            await first.drop()
            async with player_on(stalled, first.player_id) as older, player_on(other, first.player_id) as newer:
                stalled.send_signal(signal.SIGSTOP)
                await older.resume(token)
                if gives_up:
                    await older.drop()
                await newer.resume(token)
                # So soon after the first claim, on another node, it may be told to try again.
                while (answer := await newer.next())["type"] == "error":
                    await asyncio.sleep(answer["retry_after_seconds"])
                    await newer.resume(token)
                assert [answer["type"], (await newer.next())["type"]] == ["resumed", "queued"]
                owner = redis.do("HMGET", f"{prefix}player:{first.player_id}", "connection", "node")
                # It stands for longer than a busy loop may: a stopped process has no other clock.
                await asyncio.sleep(0.5)
                stalled.send_signal(signal.SIGCONT)
                if not gives_up:
                    assert (await older.next())["code"] == "server_busy"
                async with player_on(stalled) as next_one:
                    await next_one.queue(MODE)  # what came to that node before has been decided
                assert redis.do("HMGET", f"{prefix}player:{first.player_id}", "connection", "node") == owner
                await newer.send("dequeue")
                assert (await newer.next())["type"] == "dequeued"

    asyncio.run(story())
