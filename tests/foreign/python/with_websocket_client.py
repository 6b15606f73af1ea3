"""websocket-client: blocking, and sends each message in two fragments."""

import json
import struct
import sys
from typing import Any

import websocket


def send(link: Any, message: dict[str, str]) -> None:
    text = json.dumps(message)
    link.send_frame(websocket.ABNF.create_frame(text[:5], websocket.ABNF.OPCODE_TEXT, fin=0))
    link.send_frame(websocket.ABNF.create_frame(text[5:], websocket.ABNF.OPCODE_CONT, fin=1))


def main(url: str, player_id: str) -> None:
    session_id = ""
    link = websocket.create_connection(url, subprotocols=["x", "match.v1"], timeout=20)
    send(link, {"type": "enqueue", "player_id": player_id, "game_mode": "Normal_1v1"})
    while not session_id:
        frame = json.loads(link.recv())
        if frame["type"] == "start_loading":
            send(link, {"type": "loading_complete", "loading_session_id": frame["loading_session_id"]})
        session_id = frame["session_id"] if frame["type"] == "match_found" else ""
    link.send_close(1000)
    opcode, data = link.recv_data()
    code = struct.unpack("!H", data[:2])[0] if opcode == websocket.ABNF.OPCODE_CLOSE else 0
    sys.stdout.write(json.dumps({"session_id": session_id, "code": code, "subprotocol": link.getsubprotocol()}))


main(*sys.argv[1:])
