"""aiohttp: offers compression."""

import asyncio
import json
import sys

import aiohttp


async def main(url: str, player_id: str) -> None:
    session_id = ""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, protocols=["x", "match.v1"], compress=15) as link,
    ):
        await link.send_json({"type": "enqueue", "player_id": player_id, "game_mode": "Normal_1v1"})
        while not session_id:
            frame = await link.receive_json()
            if frame["type"] == "start_loading":
                await link.send_json({"type": "loading_complete", "loading_session_id": frame["loading_session_id"]})
            session_id = frame["session_id"] if frame["type"] == "match_found" else ""
        await link.close(code=1000)
        report = {"session_id": session_id, "code": link.close_code, "subprotocol": link.protocol}
    sys.stdout.write(json.dumps(report))


asyncio.run(main(*sys.argv[1:]))
