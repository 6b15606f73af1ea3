"""A real node, real players and a dedicated server: the history is what they saw."""

import asyncio
from pathlib import Path
from typing import Any

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node
from tests.shared.platform import PlatformProcess
from tests.shared.player import MODE, match_all, players_on, queue_all


def test_the_history_is_what_players_and_servers_saw(tmp_path: Path, redis_url: str, prefix: str) -> None:
    with Node(tmp_path, redis_url, prefix) as node, PlatformProcess(tmp_path, redis_url, prefix) as platform:

        async def play() -> tuple[list[str], dict[str, Any]]:
            async with FakeServer(node, capacity=1) as server, players_on(node, "ann", "bob", "cid") as players:
                await queue_all(players[:2])
                found, again = await match_all(players[:2])
                assert found["session_id"] == again["session_id"]
                path = f"/servers/{server.server_id}/sessions/{found['session_id']}/end"
                assert node.http.post(path, json={"result": {"winner": players[0].player_id}}).status_code == 204
                await queue_all(players[2:])
                await players[2].send("dequeue")
                await players[2].expect("dequeued")
                return [player.player_id for player in players], found

        players, found = asyncio.run(play())
        assert node.http.post(f"/queues/{MODE}/pause").status_code == 200
        platform.wait_until_all_is_stored()

        match = platform.get(f"/matches/{found['loading_session_id']}")
        assert match["session_id"] == found["session_id"]
        assert {player["player_id"] for player in match["players"]} == set(found["players"]) == set(players[:2])
        assert (match["state"], match["result"]) == ("ended", {"winner": players[0]})
        events = platform.get(f"/players/{players[2]}/history")["events"]
        assert [event["type"] for event in events] == ["player.dequeued", "player.queued"]
        assert events[0]["data"]["reason"] == "requested"
        (hour,) = platform.get("/stats", game_mode=MODE)["stats"]
        assert (hour["matches"], hour["players"], hour["abandoned"], hour["cancelled"]) == (1, 2, 1, 0)
