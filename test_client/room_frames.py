"""What a player and its room say to each other, as the objects of the JSON form, in either form of the frames."""

import json
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

Said: TypeAlias = dict[str, Any]


class FrameForm(StrEnum):
    """How the frames of a room are written."""

    JSON = "json"
    PROTOBUF = "protobuf"


class Frames(Protocol):
    """One form, both ways."""

    subprotocol: str

    def write(self, message: Said) -> str | bytes:
        """Write a frame for the room."""

    def read(self, frame: str | bytes) -> Said:
        """Read a frame of the room; empty when it is none of this form."""


class JsonFrames:
    """`room.v1.json`."""

    subprotocol = "room.v1.json"

    def write(self, message: Said) -> str:
        """Write text."""
        return json.dumps(message)

    def read(self, frame: str | bytes) -> Said:
        """Read a frame."""
        try:
            message = json.loads(frame)
        except ValueError:
            return {}
        return message if isinstance(message, dict) else {}


def frames_of(form: FrameForm) -> Frames:
    """Make the reader and writer of a form."""
    if form is FrameForm.JSON:
        return JsonFrames()
    from test_client.protobuf_frames import ProtobufFrames  # noqa: PLC0415 - slow to load, for those alone who use it

    return ProtobufFrames()
