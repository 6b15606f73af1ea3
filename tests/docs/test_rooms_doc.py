"""docs/rooms.md says what the rooms do."""

import json
import re
from typing import get_args

import msgspec

from dedicated_server_stub.game import Reason
from dedicated_server_stub.metrics import RoomMetrics
from dedicated_server_stub.rooms.close_codes import RoomClose
from dedicated_server_stub.rooms.messages import ClientMessage, ServerMessage
from tests.docs.markdown import blocks, read

DOC = "docs/rooms.md"


def first_cells(heading: str) -> list[str]:
    """The first column of the table with this heading, without its marks."""
    _, _, rest = read(DOC).partition(f"| {heading} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def test_every_frame_shown_is_of_the_protocol_and_none_is_missing() -> None:
    shown = set()
    for line in (line for block in blocks(DOC, "text") for line in block.splitlines()):
        kinds = {"→": ClientMessage, "←": ServerMessage}[line[0]]
        message: object = msgspec.json.decode(line[1:], type=kinds)
        assert json.loads(msgspec.json.encode(message)) == json.loads(line[1:]), "a field that nobody knows"
        shown.add(type(message))
    assert shown == {*get_args(ClientMessage), *get_args(ServerMessage)}


def test_every_reason_and_code_is_there() -> None:
    assert first_cells("`rejected.reason`") == [reason.value for reason in Reason]
    assert set(map(int, first_cells("close code"))) == {*map(int, RoomClose), 1009}


def test_every_metric_is_there() -> None:
    page = RoomMetrics().page().decode()
    names = [name.removesuffix("_total") for name in re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE)]
    assert first_cells("metric") == names
