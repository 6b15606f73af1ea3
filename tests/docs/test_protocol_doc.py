"""docs/protocol.md says what protocol.py does."""

import json
import re

from match_server import protocol
from match_server.protocol import CLIENT_MESSAGES, SERVER_MESSAGES, CloseCode, ErrorCode
from match_server.web.bodies import HeartbeatBody, RegisterBody
from tests.docs.markdown import blocks, table_after

DOC = "docs/protocol.md"


def first_cells(marker: str) -> list[str]:
    rows = table_after(DOC, marker).splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def test_every_code_is_there() -> None:
    assert first_cells("table: error codes") == [error.value for error in ErrorCode]
    assert first_cells("table: close codes") == [str(int(close)) for close in CloseCode]


def test_the_fields_of_dedicated_servers_are_there() -> None:
    assert first_cells("table: registration") == list(RegisterBody.model_fields)
    assert first_cells("table: heartbeat") == list(HeartbeatBody.model_fields)


def test_every_frame_shown_is_of_the_protocol() -> None:
    lines = [line for block in blocks(DOC, "text") for line in block.splitlines()]
    shown = set()
    for line in lines:
        arrow, text = line[0], line[1:]
        assert arrow in "→←", line
        decode = protocol.decode_client if arrow == "→" else protocol.decode_server
        message = decode(text)
        assert json.loads(protocol.encode(message)) == json.loads(text), "with no field that the protocol does not know"
        shown.add(type(message))
    assert shown == {*CLIENT_MESSAGES, *SERVER_MESSAGES}


def test_the_state_chart_names_real_messages() -> None:
    (chart,) = blocks(DOC, "mermaid")
    named = set(re.findall(r"\b[a-z]+_[a-z_]+\b", chart)) - {"server_address"}
    types = {message.model_fields["type"].default for message in (*CLIENT_MESSAGES, *SERVER_MESSAGES)}
    assert named <= types | set(ErrorCode)
