"""Redis is lost for good, with the platform's history alongside: restored from its append-only file, or begun empty."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from test_client.states import State
from tests.faults.conftest import Nodes
from tests.faults.measures import note
from tests.faults.outside import everybody_matched_once, look
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.game_server import GameServer
from tests.shared.node import Node
from tests.shared.platform import PlatformProcess
from tests.shared.redis_server import RedisServer

PLAYING, ENDED, WAITING = 6, 5, 10  # matches, matches, players
SETTINGS: dict[str, Any] = {"node_lease_seconds": 1, "reconnect_grace_seconds": 3, "allocation_timeout_seconds": 1}


@pytest.mark.parametrize("keeps_its_data", [True, False], ids=["from its append-only file", "empty"])
def test_what_is_back_and_what_is_not(
    redis: RedisServer, prefix: str, nodes: Nodes, tmp_path: Path, keeps_its_data: bool
) -> None:
    running = nodes.start(2, **SETTINGS)
    how = "from its append-only file" if keeps_its_data else "empty"

    async def story(platform: PlatformProcess) -> None:
        async with Crowd() as crowd, GameServer(running, capacity=PLAYING + ENDED) as server:
            crowd.add(2 * (PLAYING + ENDED), [node.ws for node in running])
            await crowd.until_state(State.MATCHED)
            waiting = crowd.add(WAITING, [node.ws for node in running])
            await crowd.until_state(State.QUEUED, who=waiting)
            assert running[0].http.post(f"/queues/{MODE}/pause").status_code == 200
            for session_id in list(server.live)[:ENDED]:
                await server.end_session(session_id)
            await asyncio.to_thread(platform.wait_until_all_is_stored)
            assert states_in(platform) == {"ended": ENDED, "found": PLAYING}

            redis.kill()
            redis.start()
            back_at = time.monotonic()

            async def back(what: str, holds: Callable[[], Any]) -> None:
                await seen(holds)
                note(f"Redis back {how}: {what}", time.monotonic() - back_at, "s")

            await back("nodes ready", lambda: all(is_ready(node) for node in running))
            await back(
                "sessions that go on known",
                lambda: set(look(redis, prefix).get(f"active:{server.server_id}", ())) >= server.live,
            )
            if keeps_its_data:
                assert running[0].queue(MODE)["paused"], "the file has it"
                assert running[0].queue(MODE)["waiting"] == WAITING
                assert running[0].http.post(f"/queues/{MODE}/resume").status_code == 200
            await crowd.until_state(State.MATCHED)  # in an empty Redis no mode is paused
            note(f"Redis back {how}: players who waited matched", time.monotonic() - back_at, "s")
            assert not running[0].queue(MODE)["paused"]
            everybody_matched_once(redis, prefix, crowd.players, [server])
            for session_id in list(server.live):
                await server.end_session(session_id)
            await asyncio.to_thread(platform.wait_until_all_is_stored)

            matches = platform.all_matches()
            told = {match["session_id"]: {player["player_id"] for player in match["players"]} for match in matches}
            assert told == {made.session_id: made.players for made in server.made.values()}
            assert len(matches) == len(told) == PLAYING + ENDED + WAITING // 2, "each once, those of before too"
            assert states_in(platform) == {"ended": len(matches)}

    with PlatformProcess(tmp_path, redis.url, prefix) as platform:
        asyncio.run(story(platform))


def states_in(platform: PlatformProcess) -> dict[str, int]:
    """How many matches the history has in each state."""
    states = [match["state"] for match in platform.all_matches()]
    return {state: states.count(state) for state in set(states)}


def is_ready(node: Node) -> bool:
    return node.http.get("/readyz").status_code == 200
