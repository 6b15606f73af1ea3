"""What a failover of the store must not do, whichever way it comes about: 200 players at every stage go through it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from match_server.protocol import MatchFound
from test_client.states import State
from tests.faults.measures import note
from tests.faults.outside import nobody_is_in_two_places
from tests.faults.test_parties import MODE as PARTY_MODE
from tests.faults.test_parties import MODES as PARTY_MODES
from tests.faults.test_parties import parties_on, play, until
from tests.shared.crowd import MODE, Crowd, seen
from tests.shared.fake_server import hang
from tests.shared.game_server import GameServer
from tests.shared.node import Node
from tests.shared.redis_server import Store

BACK_WITHIN_SECONDS = 3.0  # of the failover
EACH = 64  # players at each of three stages; with two parties 200
SETTINGS: dict[str, Any] = {
    "node_lease_seconds": 1,
    "reconnect_grace_seconds": 10,
    "allocation_timeout_seconds": 1,
}


def write_modes(folder: Path) -> Path:
    """The duel of the crowd, and a mode for parties."""
    path = folder / "modes.toml"
    path.write_text(f"{PARTY_MODES}\n[game_modes.{MODE}]\nplayers = 2\n")
    return path


async def go_through(
    store: Store, prefix: str, running: Sequence[Node], fail_over: Callable[[], float], *, name: str
) -> None:
    """Players wait, gather, load and are being placed; `fail_over` returns when another server has taken over.

    It blocks, in a thread. Everybody ends in one match, and keeps the connection.
    """
    urls = [node.ws for node in running]
    places = (running[0], running[1])
    async with (
        Crowd() as crowd,
        GameServer(running, answer=hang, capacity=EACH // 2) as placing,
        parties_on(places, places[::-1]) as (waiting, gathering),
    ):
        crowd.add(EACH, urls)
        await placing.called(1)
        crowd.may_load = False
        async with GameServer(running, capacity=EACH // 2) as server:
            loading = crowd.add(EACH, urls)
            await crowd.until_state(State.LOADING)
            queued = crowd.add(EACH, urls)
            await crowd.until_state(State.QUEUED, who=queued)
            await waiting.gather()
            await gathering.arrive(gathering.members[0])
            await until(gathering.members[0], "party")

            began_at = time.monotonic()
            failing = asyncio.create_task(asyncio.to_thread(fail_over))
            crowd.may_load = True
            for player in loading:  # kept by their sessions while no primary is there
                await player.load()
            placing.answer = placing.accept
            over_at = await failing
            server._registration["capacity"] = placing._registration["capacity"] = 1000
            await seen(lambda: all(node.http.get("/readyz").status_code == 200 for node in running))
            assert await server.enlist()
            assert await placing.enlist()
            await gathering.arrive(gathering.members[1])
            await play(waiting, gathering)
            await crowd.until_state(State.MATCHED, within_seconds=15)
            took = time.monotonic() - over_at
            note(f"{name}: failover", over_at - began_at, "s")
            note(f"{name}: 200 players matched after it", took, "s")
            assert took < BACK_WITHIN_SECONDS
            assert [p.player_id for p in crowd.players if p.journey.links_lost or p.was_told(MatchFound) != 1] == []
            nobody_is_in_two_places(store, prefix, {MODE: 2, PARTY_MODE: 0})
            made = {m.session_id: m.players for of in (server, placing) for m in of.made.values()}
            matches = [player.journey.match for player in crowd.players]
            assert [match for match in matches if match and made[match.session_id] != set(match.players)] == []
