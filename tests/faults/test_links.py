"""Players' links: closed cleanly, broken, taken over; players who never load; and what the others see of it."""

import asyncio
import time
from typing import Any

import pytest

from match_server.protocol import CloseCode, Dequeued, ErrorCode, MatchCancelled, Queued, StartLoading
from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, nobody_is_in_two_places, nobody_is_lost
from tests.shared.crowd import MODE, Crowd, Player, seen
from tests.shared.fake_server import hang
from tests.shared.game_server import GameServer
from tests.shared.player import player_on
from tests.shared.redis_server import RedisServer

GRACE_SECONDS = 0.5
SETTINGS: dict[str, Any] = {
    "node_lease_seconds": 1,
    "reconnect_grace_seconds": GRACE_SECONDS,
    "allocation_timeout_seconds": 1,
    "loading_timeout_seconds": 2,
}


def record(redis: RedisServer, prefix: str, player: Player) -> str | None:
    state: str | None = redis.do("HGET", f"{prefix}player:{player.player_id}", "state")
    return state


async def stop_playing(crowd: Crowd, player: Player) -> None:
    """The player's own task ends, so that the test alone decides what becomes of its link."""
    task = crowd._tasks[crowd.players.index(player)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_client_that_closes_cleanly_leaves_at_once(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """While queued, loading and allocating: the others are put back in front, or their match goes on."""
    (node,) = nodes.start(1, **SETTINGS | {"reconnect_grace_seconds": 30})

    async def story() -> None:
        async with Crowd(may_load=False) as crowd:
            (queued,) = crowd.add(1, [node.ws])
            await crowd.until_state(State.QUEUED)
            await stop_playing(crowd, queued)
            await queued.client.close()
            await seen(lambda: record(redis, prefix, queued) is None, within_seconds=1)

            async with GameServer([node], answer=hang, capacity=1) as server:
                loading, put_back = crowd.add(2, [node.ws])
                await crowd.until_state(State.LOADING, who=[loading, put_back])
                await stop_playing(crowd, loading)
                await loading.client.close()
                await crowd.until(lambda p: p.was_told(Queued) == 2, who=[put_back], within_seconds=1)
                assert redis.do("ZRANGE", f"{prefix}queue:{MODE}:front", 0, -1) == [put_back.player_id]

                (second,) = crowd.add(1, [node.ws])
                await crowd.until_state(State.LOADING, who=[put_back, second])
                await crowd.load()
                await server.called(1)
                await stop_playing(crowd, second)
                await second.client.close()
                await seen(lambda: redis.do("HGET", f"{prefix}player:{second.player_id}", "connection") == "")
                server.answer = server.accept
                await crowd.until_state(State.MATCHED, who=[put_back])
                assert put_back.journey.match
                assert set(put_back.journey.match.players) == {put_back.player_id, second.player_id}
                assert list(crowd.violations()) == []

    asyncio.run(story())


@pytest.mark.parametrize("other_node", [False, True], ids=["the same node", "another node"])
def test_a_broken_link_is_restored_by_resume(redis: RedisServer, prefix: str, nodes: Nodes, other_node: bool) -> None:
    """While queued, loading, allocating and matched; nobody else notices."""
    running = nodes.start(2, **SETTINGS | {"reconnect_grace_seconds": 5, "loading_timeout_seconds": 60})
    urls = [node.ws for node in running] if other_node else [running[0].ws]

    async def story() -> None:
        async with Crowd(may_load=False) as crowd:
            unlucky = crowd.add(10, urls)
            lucky = crowd.add(10, urls, name="lucky")

            async def break_links(state: State, times: int) -> None:
                for player in unlucky:
                    player.client.drop_link()
                await crowd.until(lambda p: len(p.closes) == times, who=unlucky)
                await crowd.until_state(state)
                assert not any(player.journey.places_lost for player in unlucky)

            await crowd.until_state(State.QUEUED)
            await break_links(State.QUEUED, 1)
            async with GameServer(running, answer=hang) as server:
                await crowd.until_state(State.LOADING)
                await break_links(State.LOADING, 2)
                await crowd.load()
                await server.called(4)
                await break_links(State.LOADING, 3)
                server.answer = server.accept
                await crowd.until_state(State.MATCHED)
                await break_links(State.MATCHED, 4)
                everybody_matched_once(redis, prefix, crowd.players, [server])
                assert all(player.was_told(StartLoading) == 1 for player in lucky)

    asyncio.run(story())


@pytest.mark.parametrize("state", [State.QUEUED, State.LOADING])
def test_a_client_that_stays_away_is_dropped_after_its_grace(
    redis: RedisServer, prefix: str, nodes: Nodes, state: State
) -> None:
    """Out of the matcher's reach from the moment the loss is seen; who was to play with it is put back in front."""
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd:
            (away,) = crowd.add(1, [node.ws])
            await crowd.until_state(State.QUEUED)
            async with GameServer([node]) as server:
                if state is State.LOADING:
                    (waiting,) = crowd.add(1, [node.ws])
                    await crowd.until_state(State.LOADING)
                await stop_playing(crowd, away)
                away.client.drop_link()
                dropped_at = time.monotonic()
                await seen(lambda: redis.do("ZSCORE", f"{prefix}held", away.player_id))
                if state is State.QUEUED:
                    (waiting,) = crowd.add(1, [node.ws])
                await seen(lambda: record(redis, prefix, away) is None)
                note("a player who stays away is dropped after (grace 0.5 s)", time.monotonic() - dropped_at, "s")
                await crowd.until_state(State.QUEUED, who=[waiting])
                assert waiting.was_told(MatchCancelled) == (state is State.LOADING)
                crowd.may_load = True
                (partner,) = crowd.add(1, [node.ws])
                await crowd.until_state(State.MATCHED, who=[waiting, partner])
                everybody_matched_once(redis, prefix, [waiting, partner], [server])

    asyncio.run(story())


def test_a_peer_that_vanishes_without_a_word_is_noticed_by_pings(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Its machine is gone: no reset comes, and it reads nothing. Detection, then the grace."""
    (node,) = nodes.start(1, ping_interval_seconds=0.3, ping_timeout_seconds=0.3, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            (gone,) = crowd.add(1, [node.ws])
            await crowd.until_state(State.QUEUED)
            assert gone.client._link
            gone.client._link.transport.pause_reading()
            begun = time.monotonic()
            await seen(lambda: record(redis, prefix, gone) is None)
            took = time.monotonic() - begun
            note("a vanished peer is dropped (pings 0.3 + 0.3 s, grace 0.5 s)", took, "s")
            assert took < 0.3 + 0.3 + GRACE_SECONDS + 1 + 0.5
            await stop_playing(crowd, gone)

    asyncio.run(story())


def test_a_client_that_never_loads_holds_up_nobody_for_long(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    (node,) = nodes.start(1, **SETTINGS)

    async def story() -> None:
        async with Crowd(may_load=False) as crowd, GameServer([node]) as server:
            idle, keen = crowd.add(2, [node.ws])
            await crowd.until_state(State.LOADING)
            await keen.load()
            crowd.may_load = True
            await crowd.until(lambda p: p.state is State.LEFT, who=[idle])
            assert idle.reasons == ["loading_timeout"]
            assert idle.was_told(MatchCancelled) == 0
            await crowd.until_state(State.QUEUED, who=[keen])
            assert [m.reason for m in keen.told if isinstance(m, MatchCancelled)] == ["loading_timeout"]
            crowd.add(1, [node.ws])
            await crowd.until_state(State.MATCHED, who=[p for p in crowd.players if p is not idle])
            everybody_matched_once(redis, prefix, [p for p in crowd.players if p is not idle], [server])

    asyncio.run(story())


def test_a_player_on_two_connections_a_hundred_times_over(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """With the token the older connection gets 4000; without it the newer is refused and told nothing else."""
    here, there = nodes.start(2, **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            (owner,) = crowd.add(1, [here.ws])
            await crowd.until_state(State.QUEUED)
            token = owner.journey._token
            async with player_on(there, owner.player_id) as thief:
                for _ in range(100):
                    await thief.send("enqueue", player_id=owner.player_id, game_mode=MODE)
                    frame = await thief.next()
                    assert frame["type"] == "error"
                    assert frame["code"] in {"already_in_queue", "rate_limited"}
                    if frame["code"] == "rate_limited":
                        break
            assert owner.state is State.QUEUED
            assert owner.closes == []
            before = owner
            for number in range(100):
                after = Player(crowd, owner.player_id, [there.ws if number % 2 else here.ws])
                after.journey._token, after.journey.state = token, State.QUEUED
                crowd.players[0] = after
                crowd._tasks.append(asyncio.create_task(after.run()))
                await crowd.until(lambda p: bool(p.closes), who=[before])
                assert before.closes == [CloseCode.TAKEN_OVER]
                await crowd.until_state(State.QUEUED, who=[after])
                before = after
            nobody_is_lost(redis, prefix, crowd)
            async with GameServer([here]):
                crowd.add(1, [here.ws])
                await crowd.until_state(State.MATCHED)
                assert before.was_told(Dequeued) == 0
            nobody_is_in_two_places(redis, prefix)

    asyncio.run(story())


def test_120_dequeues_race_the_matcher(redis: RedisServer, prefix: str, nodes: Nodes) -> None:
    """Each is answered with `dequeued` or `too_late`, never both; whoever left is in no match."""
    (node,) = nodes.start(1, **SETTINGS)

    async def quit_after(player: Player, seconds: float) -> None:
        await asyncio.sleep(seconds)  # so that they are spread over the moments of a match
        await player.client.leave()

    async def story() -> None:
        async with Crowd() as crowd:
            crowd.add(240, [node.ws])
            await crowd.until_state(State.QUEUED)  # no server yet: they wait
            quitters = crowd.players[::2]
            quitting = [asyncio.create_task(quit_after(p, 0.0015 * number)) for number, p in enumerate(quitters)]
            async with GameServer([node]) as server:  # and now they are matched as fast as it goes
                await asyncio.gather(*quitting)
                await crowd.until(
                    lambda p: p.state is State.LEFT or p.journey.errors[ErrorCode.TOO_LATE] > 0, who=quitters
                )
                stayers = [player for player in crowd.players if player.state is not State.LEFT]
                if len(stayers) % 2:
                    stayers += crowd.add(1, [node.ws])
                await crowd.until_state(State.MATCHED, who=stayers)
                left = {player.player_id for player in quitters if player.state is State.LEFT}
                too_late = {player.player_id for player in quitters if player.journey.errors[ErrorCode.TOO_LATE]}
                assert left & too_late == set()
                assert len(left) + len(too_late) == 120
                assert left
                assert too_late
                note("120 dequeues race the matcher: dequeued", len(left), "of 120")
                assert all(player.reasons == ["requested"] for player in quitters if player.player_id in left)
                everybody_matched_once(redis, prefix, stayers, [server])
                nobody_is_lost(redis, prefix, crowd)

    asyncio.run(story())
