"""Sentinel puts a replica in the place of its primary, under players at every stage."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from test_client.states import State
from tests.faults import failover
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.game_server import GameServer
from tests.shared.sentinels import DOWN_AFTER_SECONDS, SentinelGroup

SETTINGS: dict[str, Any] = {"node_lease_seconds": 1, "reconnect_grace_seconds": 10}


@pytest.fixture
def group(tmp_path: Path) -> Iterator[SentinelGroup]:
    """Servers and sentinels of this test's own."""
    with SentinelGroup(tmp_path) as running:
        yield running


@pytest.fixture
def redis(group: SentinelGroup) -> SentinelGroup:
    """What the test's nodes run on."""
    return group


def test_the_primary_is_killed_with_200_players_at_every_stage(
    group: SentinelGroup, prefix: str, nodes: Nodes, tmp_path: Path
) -> None:
    running = nodes.start(2, config=failover.write_modes(tmp_path), **failover.SETTINGS)

    def fail_over() -> float:
        old = group.primary
        old.kill()
        return group.wait_for_failover(old)

    asyncio.run(failover.go_through(group, prefix, running, fail_over, name="Sentinel, primary killed"))


def test_the_primary_hangs_with_200_players_at_every_stage(
    group: SentinelGroup, prefix: str, nodes: Nodes, tmp_path: Path
) -> None:
    """Its connections stay open, the pub/sub link among them. It comes back as a replica."""
    running = nodes.start(2, config=failover.write_modes(tmp_path), **failover.SETTINGS)

    def fail_over() -> float:
        old = group.primary
        old.pause()
        over_at = group.wait_for_failover(old)
        old.go_on()
        return over_at

    asyncio.run(failover.go_through(group, prefix, running, fail_over, name="Sentinel, primary hangs"))


def test_a_primary_that_the_sentinels_replace_is_not_written_after_that(
    group: SentinelGroup, prefix: str, nodes: Nodes
) -> None:
    """Its nodes reach it all along, and nobody tells it that it is not the primary any more."""
    (node,) = nodes.start(1, game_modes=f"{MODE}:2", **SETTINGS)
    old, new = group.primary, group.replica

    async def story() -> None:
        async with Crowd() as crowd:
            crowd.add(10, [node.ws])
            await crowd.until_state(State.QUEUED)  # no server: they wait
            await seen(lambda: new.do("HGET", f"{prefix}clock", "swept_us"))
            group.hide_from_sentinels(old)
            await seen(lambda: new.do("ROLE")[0] == "master", within_seconds=20)
            promoted_us = time.time_ns() // 1000
            await seen(lambda: int(new.do("HGET", f"{prefix}clock", "swept_us")) > promoted_us)
            async with GameServer([node]) as server:
                await crowd.until_state(State.MATCHED)
                everybody_matched_once(group, prefix, crowd.players, [server])
            assert old.do("ROLE")[0] == "master", "nobody told it"
            written_us = int(old.do("HGET", f"{prefix}clock", "swept_us"))
            note("Sentinel: from the old primary's last write to its end", (promoted_us - written_us) / 1e6, "s")
            assert written_us < promoted_us
            assert old.do("SCARD", f"{prefix}queue:{MODE}") == 10, "as it was"

    asyncio.run(story())


def test_without_enough_sentinels_nothing_is_written(group: SentinelGroup, prefix: str, nodes: Nodes) -> None:
    """They may be replacing the primary, where this node cannot see it."""
    (node,) = nodes.start(1, game_modes=f"{MODE}:2", **SETTINGS)

    async def story() -> None:
        async with Crowd() as crowd:
            crowd.add(2, [node.ws])
            await crowd.until_state(State.QUEUED)
            primary = group.primary
            for sentinel in group.sentinels[1:]:
                sentinel.pause()
            paused_at = time.monotonic()
            await seen(lambda: node.http.get("/readyz").status_code == 503)
            assert time.monotonic() - paused_at < DOWN_AFTER_SECONDS + 1
            reason = node.http.get("/readyz").json()["detail"]
            assert "too few sentinels reach the primary" in reason
            before = primary.do("HGET", f"{prefix}clock", "swept_us")
            await asyncio.sleep(1)  # two sweeps
            assert primary.do("HGET", f"{prefix}clock", "swept_us") == before
            for sentinel in group.sentinels[1:]:
                sentinel.go_on()
            await seen(lambda: node.http.get("/readyz").status_code == 200)
            async with GameServer([node]):
                await crowd.until_state(State.MATCHED)
            assert [player.player_id for player in crowd.players if player.journey.links_lost] == []

    asyncio.run(story())


def test_one_sentinel_less_is_nothing_to_notice(group: SentinelGroup, nodes: Nodes) -> None:
    (node,) = nodes.start(1, game_modes=f"{MODE}:2", **SETTINGS)
    group.sentinels[0].kill()
    asyncio.run(asyncio.sleep(DOWN_AFTER_SECONDS + 0.5))  # longer than the last proof can hold
    assert node.http.get("/readyz").status_code == 200
    assert "redis_out_of_reach" not in node.log
